// The page: a question in, the answer as it is written, its sources and the passages it rests on.
// Nothing of a question is kept: not in the address, not in storage, only on the screen and in this tab's memory.

import { $, Problem, count, events, get, h, lost, notice, post, seconds } from './kit.js';
import { bare, blocks, differingOf, evidenceOf, gradeOf, numbered, plain, rowOf, sourcesOf } from './answer.js';
import { initFiles, openFiles, showCollections, showReport } from './files.js';
import { offerToKeep } from './keep.js';
import { inWords, initNarrow, narrowTo, narrowing, showPlaces, widen } from './narrow.js';
import { bestOf, passagesOf } from './passages.js';

const box = $('question');
const turns = [];
let asking = null;
let shown = null;
let countdown = 0;

// ---- asking

/** Asks, with the conversation so far; `instead` of the question that is shown, which then leaves no trace. */
async function ask(question, { instead = false, each = false } = {}) {
  stop();
  if (shown && !instead) putAway(shown);
  const mine = {
    question, each, text: '', passages: [], evidence: [], more: [], rows: [], narrowed: narrowing(), conversation: conversation(), started: performance.now(), leave: new AbortController(),
  };
  asking = mine;
  begin(mine);
  try {
    for await (const { event, data } of events(await post('/api/v1/ask', { ...requestOf(mine), stream: true, ...(each ? { each } : {}) }, mine.leave.signal))) {
      if (event === 'planned') planned(mine, data.documents);
      else if (event === 'row') addRow(mine, data);
      else if (event === 'queued') say(data.place > 0 ? `In line, ${count(data.place, 'question')} before yours` : 'Yours is next');
      else if (event === 'passages') found(mine, data);
      else if (event === 'evidence') showEvidence(mine, data.quotes);
      else if (event === 'piece') piece(mine, data.text);
      else if (event === 'error') throw new Problem(data);
      else if (event === 'done') { (each ? allRows : done)(mine, data); break; }
    }
    if (!mine.done) throw lost();
  } catch (problem) {
    failed(mine, problem);
  }
  clearInterval(mine.ticking);
  if (asking === mine) {
    $('each').hidden = each || !mine.done;
    asking = null;
    $('answer').removeAttribute('aria-busy');
    $('go').textContent = 'Ask';
  }
}

const requestOf = ({ question, narrowed, conversation: before }) => ({ question, ...narrowed, conversation: before, explain: true });

function stop() {
  asking?.leave.abort();
}

function begin(mine) {
  clearInterval(countdown);
  document.body.classList.add('has-result');
  $('go').textContent = 'Stop';
  box.value = '';
  box.placeholder = 'Ask another question';
  grow();
  $('start').replaceChildren();
  $('result').hidden = false;
  $('result').classList.remove('refused');
  shown = mine;
  $('asked').textContent = mine.question.length > 400 ? `${mine.question.slice(0, 400)}…` : mine.question;
  $('asked').classList.toggle('long', mine.question.length > 160);
  for (const id of ['notice', 'understood', 'answer', 'spoken', 'rows-list', 'differing-list', 'nearest-list', 'sources-list', 'passages-list']) $(id).replaceChildren();
  for (const id of ['grade', 'draft', 'answer-foot', 'rows', 'differing', 'nearest', 'sources', 'passages', 'passages-more']) $(id).hidden = true;
  $('talk').hidden = false;
  $('each').hidden = true;
  $('answer').setAttribute('aria-busy', 'true');
  mine.ticking = setInterval(() => tick(mine), 1000);
  mine.doing = 'Looking through your files';
  tick(mine);
  // Tab then leads from the question to the marks of its answer; `/` leads back to the box.
  $('asked').focus({ preventScroll: true });
  const { top } = $('asked').getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $('asked').scrollIntoView();
}

function tick(mine) {
  if (!mine.doing) return;
  const waited = Math.floor((performance.now() - mine.started) / 1000);
  $('progress').replaceChildren(h('span', { class: 'pulse', 'aria-hidden': 'true' }), mine.doing,
    waited > 1 ? h('span', { class: 'quiet', 'aria-hidden': 'true' }, ` ${waited} s`) : '');
}

function say(text) {
  $('progress').replaceChildren(text);
  if (asking) asking.doing = text;
}

function found(mine, { passages, understood, next_offset: next, took_ms: took }) {
  Object.assign(mine, { passages, understood, next, retrieved: took });
  if (understood) {
    $('understood').textContent = `Understood as: ${understood}`;
    $('spoken').append(h('p', {}, `Understood as: ${understood}`));
  }
  if (passages.length) {
    mine.doing = `Reading ${count(passages.length, 'passage')}`;
    tick(mine);
  }
  showPassages(mine);
  namePassages(mine, 'Passages');
}

/** The quotes come long before the model has written: on a slow machine they are the answer for the first seconds. */
function showEvidence(mine, quotes) {
  mine.evidence = quotes;
  $('nearest').hidden = !quotes.length;
  $('nearest-title').textContent = 'In your files';
  $('nearest-list').replaceChildren(...evidenceOf(mine));
}

/** What the answer says beyond the draft, for those who have heard the draft; all of it, where it says something else. */
function unheard({ text, done }) {
  const [draft, whole] = [text, bare(done.text)].map((said) => said.replace(/\s+/g, ' ').trim());
  if (draft.includes(whole)) return '';
  return whole.startsWith(draft) ? whole.slice(draft.length).trim() : whole;
}

function piece(mine, text) {
  mine.first ??= performance.now() - mine.started;
  mine.text += text;
  if (mine.doing) say('');
  mine.doing = '';
  $('draft').hidden = false;
  if (!mine.drawing) {
    mine.drawing = requestAnimationFrame(() => {
      mine.drawing = 0;
      if (shown === mine && !mine.done) $('answer').replaceChildren(...blocks(mine.text, new Map()));
    });
  }
  // Read aloud sentence by sentence; single words would talk over each other.
  mine.unspoken = (mine.unspoken ?? '') + text;
  const sentence = /^[\s\S]*[.!?:](?=\s)/.exec(mine.unspoken)?.[0];
  if (sentence) {
    $('spoken').append(h('p', {}, sentence));
    mine.unspoken = mine.unspoken.slice(sentence.length);
  }
}

function done(mine, { id, answer, grade, refused, left_out: leftOut, citations, unknown = [], differing = [], evidence, passages, model }) {
  mine.done = numbered(answer, refused ? [] : citations ?? []);
  mine.refused = Boolean(refused);
  mine.grade = gradeOf(grade, leftOut);
  // The passages came before the answer; drawn again, they would lose what was opened in them.
  if (!mine.passages.length && passages?.length) {
    mine.passages = passages;
    showPassages(mine);
  }
  // Of an answer that is not there the closest quotes are what is shown; having read them, the model orders them better.
  if (evidence?.length && (refused || !mine.evidence.length)) showEvidence(mine, evidence);
  const byNumber = new Map(mine.done.citations.map((citation) => [citation.n, citation]));
  say('');
  $('draft').hidden = true;
  $('grade').textContent = mine.grade;
  $('grade').hidden = !mine.grade || refused;
  $('result').classList.toggle('refused', Boolean(refused));
  $('answer').replaceChildren(...blocks(mine.done.text, byNumber, mine.passages));
  if (!refused && !byNumber.size) {
    $('answer').append(h('p', { class: 'unsure' }, 'No sentence of this answer could be tied to a passage. Read the passages below before you rely on it.'));
  }
  const nobody = unknown.length ? `No file that was searched has the name ${unknown.join(' or ')}.` : '';
  if (nobody) $('answer').append(h('p', { class: 'unsure' }, nobody));
  const spoken = refused ? `${answer} ${nobody}` : `${nobody} ${unheard(mine)} End of the answer, ${count(byNumber.size, 'source')}.`;
  $('spoken').append(h('p', {}, `${mine.unspoken ?? ''} ${spoken}`));
  // The sources take the place of the quotes; of an answer that is not there the quotes are the closest.
  $('nearest').hidden = !refused || !mine.evidence.length;
  if (refused) $('nearest-title').textContent = 'Closest in your files';
  $('differing').hidden = !differing.length;
  $('differing-list').replaceChildren(...differingOf(differing, mine.passages));
  $('sources').hidden = !byNumber.size;
  $('sources-list').replaceChildren(...sourcesOf(mine));
  namePassages(mine, refused ? 'Closest passages' : 'Passages');
  const nowhere = Boolean(refused && !mine.passages.length && inWords(mine.narrowed));
  if (nowhere) $('answer').replaceChildren();
  if (refused) offerMore(mine);
  const total = performance.now() - mine.started;
  $('times').textContent = [
    mine.first === undefined ? '' : `First words after ${seconds(mine.first)}`, `${mine.first === undefined ? 'C' : 'c'}omplete after ${seconds(total)}`, model,
  ].filter(Boolean).join(' · ');
  offerToKeep(id);
  $('answer-foot').hidden = nowhere;
}

// ---- each file by itself

function planned(mine, documents) {
  mine.planned = documents;
  mine.doing = `Asking ${count(documents, 'file')}, one after the other`;
  tick(mine);
}

function addRow(mine, row) {
  mine.rows.push(row);
  $('rows').hidden = false;
  $('rows-list').append(rowOf(row));
  mine.doing = `${mine.rows.length} of ${count(mine.planned, 'file')}`;
  tick(mine);
}

function allRows(mine, { total_ms: took }) {
  mine.done = { text: '', citations: [] };
  mine.doing = '';
  const saying = mine.rows.filter(({ grade }) => grade !== 'not_in_files').length;
  say('');
  const told = mine.rows.length ? `${saying} of ${count(mine.rows.length, 'file')} say something about it.` : 'There are no files to ask.';
  $('answer').replaceChildren(h('p', {}, told));
  $('spoken').append(h('p', {}, told));
  // A table of many answers has no evidence file of its own, and no opinion is asked on it.
  offerToKeep();
  $('times').textContent = `Complete after ${seconds(took)}`;
  $('answer-foot').hidden = false;
}

function failed(mine, problem) {
  if (asking !== mine && problem.name === 'AbortError') return;
  mine.doing = '';
  $('draft').hidden = true;
  if (problem.name === 'AbortError') return say(mine.text ? 'Stopped. What was written so far has not been checked against your files.' : 'Stopped.');
  say('');
  const known = problem instanceof Problem ? problem : lost();
  const again = h('button', { type: 'button', class: 'button', onclick: () => ask(mine.question, { instead: true, each: mine.each }) }, 'Ask again');
  $('notice').replaceChildren(notice(known, again, ...(inWords(mine.narrowed) && /^(unknown_|bad_dates)/.test(known.code) ? [everywhere(mine)] : [])));
  giveBack(mine.question);
  if (!known.retry_s) return;
  let left = known.retry_s;
  const show = () => {
    again.disabled = left > 0;
    again.textContent = left > 0 ? `Ask again in ${left} s` : 'Ask again';
    if (left <= 0) clearInterval(countdown);
    left -= 1;
  };
  countdown = setInterval(show, 1000);
  show();
}

/** Puts a question back into the box, to be mended and asked again. */
function giveBack(question) {
  if (box.value) return;
  box.value = question;
  grow();
}

// ---- showing

function showPassages({ passages, question, next }) {
  $('passages').hidden = !passages.length;
  $('passages-list').replaceChildren(...passagesOf(passages, { question, best: bestOf(passages) }));
  $('passages-more').hidden = next === undefined;
}

function namePassages({ retrieved }, title) {
  $('passages-title').replaceChildren(title, retrieved === undefined ? '' : h('span', { class: 'note' }, `found in ${seconds(retrieved)}`));
}

/** The passages after those that are shown. */
async function more(mine) {
  const button = $('passages-more');
  button.disabled = true;
  try {
    const { passages, next_offset: next } = await (await post('/api/v1/search', { ...requestOf(mine), offset: mine.next })).json();
    if (shown !== mine) return;
    const items = passagesOf(passages, { question: mine.question, best: bestOf(mine.passages), from: mine.passages.length + mine.more.length });
    mine.more.push(...passages);
    mine.next = next;
    $('passages-list').append(...items);
    button.hidden = next === undefined;
    items[0]?.querySelector('button').focus();
  } catch (problem) {
    if (shown === mine) $('passages-list').append(h('li', {}, notice(problem)));
  } finally {
    button.disabled = false;
  }
}

/** An answer that is not there may be outside of where was looked: says so, and offers to look everywhere. */
function offerMore(mine) {
  const where = inWords(mine.narrowed);
  if (!where) return;
  const what = mine.passages.length ? 'Only a part of your files was looked at' : 'Nothing was found where you asked';
  const told = notice({ message: what, hint: `You asked only ${where}` }, everywhere(mine));
  told.classList.add('calm');
  $('notice').replaceChildren(told);
}

const everywhere = (mine) => h('button', {
  type: 'button', class: 'button',
  onclick: () => {
    widen();
    box.value = '';
    ask(mine.question, { instead: true, each: mine.each });
  },
}, 'Ask in all files');

async function copy() {
  const text = plain(shown);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page over plain HTTP on the office network has no clipboard; the old way still works there.
    const area = h('textarea', { class: 'unseen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  $('copy').textContent = 'Copied';
  setTimeout(() => { $('copy').textContent = 'Copy with sources'; }, 2000);
}

// ---- the conversation

// How far the service looks back (it keeps no conversation itself), and how many questions stay in sight.
const MOST_TURNS = 6;
const MOST_ANSWER = 600;
const NEAR_TURNS = 3;

/** What was asked and answered before, for the service to understand a follow-up with. */
function conversation() {
  return turns.slice(-MOST_TURNS).map(({ question, done: answer, refused }) => ({ question, answer: answer && !refused ? bare(answer.text).slice(0, MOST_ANSWER) : '' }));
}

/** Folds a question with its answer away above the next one. One that found nothing is let go. */
function putAway(mine) {
  if (shown === mine) shown = null;
  if (!mine.done && !mine.passages.length && !mine.rows.length) return;
  turns.push(mine);
  const { question, understood, done: answer, passages, more: further } = mine;
  const all = [...passages, ...further];
  const citations = answer?.citations ?? [];
  $('earlier-list').append(h('li', {}, h('details', { class: 'turn' }, h('summary', {}, question),
    h('div', { class: 'turn-body' },
      understood ? h('p', { class: 'understood' }, `Understood as: ${understood}`) : null,
      mine.rows.length ? h('div', { class: 'rows-box' }, h('table', { class: 'rows' }, h('tbody', {}, mine.rows.map(rowOf)))) : null,
      h('div', { class: 'answer' }, answer ? blocks(answer.text, new Map(citations.map((citation) => [citation.n, citation])), passages)
        : h('p', { class: 'quiet' }, 'The answer was stopped.')),
      citations.length ? h('ol', { class: 'sources', 'aria-label': 'Sources' }, sourcesOf(mine)) : null,
      all.length ? h('details', {}, h('summary', { class: 'quiet' }, count(all.length, 'passage')),
        h('ol', { class: 'passages' }, passagesOf(all, { question, best: bestOf(all) }))) : null))));
  // The newest stay in sight; a long conversation would push the answer off the screen.
  while ($('earlier-list').children.length > NEAR_TURNS) $('older-list').append($('earlier-list').firstElementChild);
  const older = $('older-list').children.length;
  $('earlier-older').hidden = !older;
  $('earlier-older').firstElementChild.textContent = `${count(older, 'question')} before these`;
  $('earlier').hidden = false;
}

function startAfresh() {
  stop();
  clearInterval(countdown);
  shown = null;
  turns.length = 0;
  for (const id of ['earlier-list', 'older-list']) $(id).replaceChildren();
  for (const id of ['earlier', 'earlier-older', 'result', 'talk']) $(id).hidden = true;
  document.body.classList.remove('has-result');
  if ($('reader').open) $('reader').close();
  box.value = '';
  box.placeholder = 'Ask in your own words';
  grow();
  box.focus();
  refresh();
}

// ---- what the server has

let polling = 0;

async function refresh() {
  clearTimeout(polling);
  let wait = 30_000;
  try {
    const [status, { collections }] = await Promise.all([get('/api/v1/status'), get('/api/v1/collections')]);
    $('reach').textContent = status.running?.total ? `Reading files: ${status.running.done} of ${status.running.total}` : status.running ? 'Reading files…' : '';
    $('reach').classList.remove('lost');
    if (status.running) wait = 3000;
    showReport(status);
    showCollections(collections);
    showPlaces(collections, status.documents);
    if ($('result').hidden) showStart(status);
  } catch (problem) {
    $('reach').textContent = problem.code === 'lost' ? 'Not connected. Trying again…' : problem.message;
    $('reach').classList.add('lost');
    wait = 5000;
  }
  polling = setTimeout(() => (document.hidden ? document.addEventListener('visibilitychange', refresh, { once: true }) : refresh()), wait);
}

function showStart({ documents, pages, model_problem: unwell }) {
  const wanted = documents ? 'ready' : 'empty';
  const start = $('start');
  if (unwell) $('notice-start').replaceChildren(notice({ message: 'Answers cannot be written now; the passages are found all the same.', hint: unwell }));
  else $('notice-start').replaceChildren();
  if (wanted === 'ready') {
    $('ready').textContent = `${count(documents, 'file')}, ${count(pages, 'page')}. Every answer names its page.`;
    start.replaceChildren();
  } else if (start.dataset.shows !== 'empty') {
    $('ready').textContent = '';
    start.replaceChildren(h('section', { class: 'empty', 'aria-labelledby': 'empty-title' },
      h('h2', { id: 'empty-title' }, 'No files are in yet'),
      h('p', {}, 'Drop PDF, Office, mail, web or text files or a whole folder on this page, or'),
      h('p', {}, h('button', { type: 'button', class: 'button', onclick: () => { openFiles(); $('picked').click(); } }, 'Choose files')),
      h('p', { class: 'quiet' }, 'From the command line: ', h('code', {}, 'premise add FOLDER'))));
  }
  start.dataset.shows = wanted;
}

// ---- hands and keys

$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  if (asking) return stop();
  const question = box.value.trim();
  if (question) ask(question);
  else box.focus();
});

box.addEventListener('keydown', (event) => {
  if (event.key === 'ArrowUp' && !box.value && shown) {
    event.preventDefault();
    giveBack(shown.question);
  }
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  const question = box.value.trim();
  if (question) ask(question);
});

function grow() {
  box.style.height = 'auto';
  box.style.height = `${Math.min(box.scrollHeight, innerHeight * 0.4)}px`;
}
box.addEventListener('input', grow);
addEventListener('resize', grow);

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === 'Escape') {
    if ($('reader').open) $('reader').close();
    else stop();
    return;
  }
  if (event.target.closest('input, textarea, select, dialog:modal')) return;
  if (event.key === '/') {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === 'j' || event.key === 'k') {
    const passages = [...document.querySelectorAll('#passages-list .passage')];
    const at = passages.indexOf(document.activeElement) + (event.key === 'j' ? 1 : -1);
    passages[Math.max(0, Math.min(at, passages.length - 1))]?.focus();
  }
});

$('copy').addEventListener('click', copy);
$('each').addEventListener('click', () => ask(shown.question, { instead: true, each: true }));
$('passages-more').addEventListener('click', () => more(shown));
$('afresh').addEventListener('click', startAfresh);
document.querySelector('.private').textContent = `Nothing leaves ${/^(localhost|127\.|\[::1\])/.test(location.hostname) ? 'this machine' : 'these premises'}: your files, your questions and the answers stay here.`;
initNarrow();
initFiles({ onChange: refresh, onNarrow: narrowTo });
refresh();
