// The page: a question in, the answer as it is written, its sources and the passages it rests on.
// Nothing of a question is kept: not in the address, not in storage, only on the screen.

import { $, Problem, count, events, get, h, lost, notice, pagesOf, post, seconds } from './kit.js';
import { initFiles, openFiles, showCollections, showReport, soon } from './files.js';
import { openPage } from './reader.js';

const box = $('question');
const only = new Set();
let asking = null;
let shown = null;
let countdown = 0;

// ---- asking

async function ask(question) {
  stop();
  const mine = { question, text: '', passages: [], started: performance.now(), leave: new AbortController() };
  asking = mine;
  begin(mine);
  try {
    const body = { question, stream: true };
    if ($('collection').value) body.collections = [$('collection').value];
    if (only.size) body.documents = [...only];
    for await (const { event, data } of events(await post('/api/v1/ask', body, mine.leave.signal))) {
      if (event === 'queued') say(data.place > 0 ? `In line, ${count(data.place, 'question')} before yours` : 'Yours is next');
      else if (event === 'passages') found(mine, data);
      else if (event === 'piece') piece(mine, data.text);
      else if (event === 'error') throw new Problem(data);
      else if (event === 'done') { done(mine, data); break; }
    }
    if (!mine.done) throw lost();
  } catch (problem) {
    failed(mine, problem);
  }
  clearInterval(mine.ticking);
  if (asking === mine) {
    asking = null;
    $('answer').removeAttribute('aria-busy');
    $('go').textContent = 'Ask';
  }
}

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
  for (const id of ['notice', 'answer', 'spoken', 'sources-list', 'passages-list']) $(id).replaceChildren();
  for (const id of ['answer-foot', 'sources', 'passages']) $(id).hidden = true;
  $('answer').setAttribute('aria-busy', 'true');
  mine.ticking = setInterval(() => tick(mine), 1000);
  mine.doing = 'Looking through your files';
  tick(mine);
  // Tab then leads from the question to the marks of its answer; `/` leads back to the box.
  $('asked').focus({ preventScroll: true });
  $('asked').scrollIntoView({ block: 'nearest' });
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

function found(mine, { passages, took_ms: took }) {
  mine.passages = passages;
  mine.retrieved = took;
  if (passages.length) {
    mine.doing = `Reading ${count(passages.length, 'passage')}`;
    tick(mine);
  }
  showPassages(mine, 'Passages', took === undefined ? '' : `found in ${seconds(took)}`);
}

function piece(mine, text) {
  mine.first ??= performance.now() - mine.started;
  mine.text += text;
  if (mine.doing) say('');
  mine.doing = '';
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

function done(mine, { answer, refused, citations, passages, model }) {
  mine.done = numbered(answer, citations ?? []);
  if (passages?.length) mine.passages = passages;
  const byNumber = new Map(mine.done.citations.map((citation) => [citation.n, citation]));
  say('');
  $('result').classList.toggle('refused', Boolean(refused));
  $('answer').replaceChildren(...blocks(mine.done.text, byNumber, mine.passages));
  if (!refused && !byNumber.size) {
    $('answer').append(h('p', { class: 'unsure' }, 'No sentence of this answer could be tied to a passage. Read the passages below before you rely on it.'));
  }
  $('spoken').append(h('p', {}, `${mine.unspoken ?? ''} ${refused ? answer : `End of the answer, ${count(byNumber.size, 'source')}.`}`));
  showSources(mine);
  showPassages(mine, refused ? 'Closest passages' : 'Passages', mine.retrieved === undefined ? '' : `found in ${seconds(mine.retrieved)}`);
  const total = performance.now() - mine.started;
  $('times').textContent = [
    mine.first === undefined ? '' : `First words after ${seconds(mine.first)}`, `${mine.first === undefined ? 'C' : 'c'}omplete after ${seconds(total)}`, model,
  ].filter(Boolean).join(' · ');
  $('answer-foot').hidden = false;
}

function failed(mine, problem) {
  if (asking !== mine && problem.name === 'AbortError') return;
  mine.doing = '';
  if (problem.name === 'AbortError') return say(mine.text ? 'Stopped. What was written so far has not been checked against your files.' : 'Stopped.');
  say('');
  const known = problem instanceof Problem ? problem : lost();
  const again = h('button', { type: 'button', class: 'button', onclick: () => ask(mine.question) }, 'Ask again');
  $('notice').replaceChildren(notice(known, again));
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

/**
 * Numbers the sources of an answer from 1 as they appear. The API marks passages: `[2]` may stand
 * twice with two quotes, one citation a mark and in their order. A mark becomes U+E000 n U+E001,
 * so that brackets out of a document stay what they are.
 */
function numbered(answer, citations) {
  const known = [...answer.matchAll(/\[(\d+)\]/g)].map(([, n]) => Number(n)).filter((n) => citations.some((citation) => citation.n === n));
  const inOrder = known.length === citations.length && known.every((n, at) => n === citations[at].n);
  const sources = [];
  let at = 0;
  const text = answer.replace(/\[(\d+)\]/g, (bracket, digits) => {
    const citation = inOrder && citations[at]?.n === Number(digits) ? citations[at++] : citations.find(({ n }) => n === Number(digits));
    if (!citation) return bracket;
    let source = sources.find(({ document: id, page, quote }) => id === citation.document && page === citation.page && quote === citation.quote);
    if (!source) sources.push(source = { ...citation, n: sources.length + 1, passage: citation.passage ?? citation.n });
    return `\ue000${source.n}\ue001`;
  });
  return { text, citations: sources };
}

/** Paragraphs, lists and bold of an answer, with a button for each mark. */
function blocks(text, citations, passages) {
  const nodes = [];
  for (const line of text.trim().split(/\n+/)) {
    const item = /^\s*(?:[-*•]|\d{1,2}[.)])\s+(.*)/.exec(line);
    const kind = item && (/^\s*\d/.test(line) ? 'OL' : 'UL');
    const content = inline((item ? item[1] : line.replace(/^#+\s*/, '')), citations, passages);
    if (!item) nodes.push(h('p', {}, content));
    else if (nodes.at(-1)?.nodeName === kind) nodes.at(-1).append(h('li', {}, content));
    else nodes.push(h(kind, {}, h('li', {}, content)));
  }
  return nodes;
}

function inline(text, citations, passages) {
  const nodes = [];
  for (const part of text.split(/(\*\*[^*]+\*\*|\s*\ue000\d+\ue001)/)) {
    const citation = citations.get(Number(/^\s*\ue000(\d+)\ue001$/.exec(part)?.[1]));
    if (citation) {
      // A mark stays on the line of the word before it.
      const before = typeof nodes.at(-1) === 'string' ? nodes.pop() : '';
      const word = /\S{0,24}$/.exec(before)[0];
      nodes.push(before.slice(0, before.length - word.length), h('span', { class: 'keep' }, word, mark(citation, passages)));
    } else if (part) {
      nodes.push(/^\*\*.+\*\*$/.test(part) ? h('strong', {}, part.slice(2, -2)) : part);
    }
  }
  return nodes;
}

function mark(citation, passages) {
  const { n, file, page } = citation;
  return h('button', {
    type: 'button', class: 'cite', title: `${file}, page ${page}`,
    'aria-label': `Source ${n}: ${file}, page ${page}`, 'aria-haspopup': 'dialog', onclick: () => openCitation(citation, passages),
  }, String(n));
}

function openCitation(citation, passages) {
  openPage({ ...citation, passage: passages.find(({ n }) => n === citation.passage)?.text });
}

function showSources({ done: { citations }, passages }) {
  $('sources').hidden = !citations.length;
  $('sources-list').replaceChildren(...citations.map((citation) => h('li', {},
    h('button', { type: 'button', class: 'source', 'aria-haspopup': 'dialog', onclick: () => openCitation(citation, passages) },
      h('span', { class: 'source-n', 'aria-hidden': 'true' }, String(citation.n)),
      h('span', { class: 'source-where' }, h('b', {}, citation.file), ` page ${citation.page}`),
      h('q', { class: 'source-quote' }, citation.quote.replace(/\s+/g, ' ').trim())))));
}

function showPassages({ passages, question }, title, note) {
  $('passages').hidden = !passages.length;
  $('passages-title').replaceChildren(title, note ? h('span', { class: 'note' }, note) : '');
  const best = Math.max(...passages.map(({ score }) => score), Number.EPSILON);
  const words = [...new Set(question.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? [])];
  $('passages-list').replaceChildren(...passages.map((passage, index) => {
    const { n, document: id, file, page_start: page, text, score } = passage;
    const bar = h('span', { class: 'score', 'aria-hidden': 'true', title: `Closeness ${score.toFixed(3)}` }, h('span'));
    bar.firstChild.style.width = `${Math.max(4, Math.round((score / best) * 100))}%`;
    return h('li', {}, h('button', {
      type: 'button', class: 'passage', 'aria-haspopup': 'dialog', 'aria-label': `Passage ${n ?? index + 1}: ${file}, ${pagesOf(passage)}`,
      'aria-describedby': `snippet-${index}`, onclick: () => openPage({ document: id, file, page, passage: text }),
    }, h('span', { class: 'passage-where' }, h('b', {}, file), ` ${pagesOf(passage)}`, bar),
    h('span', { class: 'snippet', id: `snippet-${index}` }, snippet(text, words))));
  }));
}

/** The part of a passage that holds most of the question's words, with those words in bold. */
function snippet(text, words) {
  const sentences = text.replace(/\s+/g, ' ').trim().split(/(?<=[.;:!?]) /);
  const held = (sentence) => words.filter((word) => sentence.toLowerCase().includes(word)).length;
  let best = 0;
  sentences.forEach((sentence, index) => { if (held(sentence) > held(sentences[best])) best = index; });
  // A match near the end keeps the sentences before it: three short lines would look cut off.
  while (best > 0 && sentences.slice(best).join(' ').length < 180) best -= 1;
  const shown = (best ? '… ' : '') + sentences.slice(best).join(' ').slice(0, 600);
  return shown.split(/([\p{L}\d]+)/u).map((part) => (words.some((word) => part.toLowerCase().startsWith(word)) ? h('b', {}, part) : part));
}

/** The answer with its sources as plain text, for a letter or a file note. */
function plain({ question, done: { text, citations } }) {
  const sources = citations.map(({ n, file, page, quote }) => `[${n}] ${file}, page ${page}: “${quote.replace(/\s+/g, ' ').trim()}”`);
  return [question, '', text.trim().replace(/\ue000(\d+)\ue001/g, '[$1]'), ...(sources.length ? ['', 'Sources', ...sources] : [])].join('\n');
}

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

// ---- where to ask

function narrowTo(file) {
  only.add(file);
  showChips();
  box.focus();
}

function showChips() {
  $('chips').replaceChildren(...[...only].map((file) => h('li', { class: 'chip' }, h('span', { title: file }, file),
    h('button', { type: 'button', 'aria-label': `Do not ask only in ${file}`, onclick: () => { only.delete(file); showChips(); $('narrow-open').focus(); } }, '×'))));
  $('narrow-open').textContent = only.size ? 'and in…' : 'Ask only in…';
}

function initNarrow() {
  const input = $('narrow');
  const options = $('narrow-list');
  let active = -1;
  let turn = 0;
  const activate = (index) => {
    active = index;
    [...options.children].forEach((option, at) => option.setAttribute('aria-selected', at === index));
    const option = options.children[index];
    option?.scrollIntoView({ block: 'nearest' });
    if (option?.id) input.setAttribute('aria-activedescendant', option.id);
    else input.removeAttribute('aria-activedescendant');
  };
  const close = (focus) => {
    turn += 1;
    $('narrow-box').hidden = true;
    $('narrow-open').hidden = false;
    if (focus) focus.focus();
  };
  const pick = (file) => {
    close();
    narrowTo(file);
  };
  const suggest = async () => {
    const mine = (turn += 1);
    const query = new URLSearchParams({ q: input.value.trim(), offset: 0, limit: 20 });
    if ($('collection').value) query.set('collection', $('collection').value);
    const { documents } = await get(`/api/v1/documents?${query}`).catch(() => ({ documents: [] }));
    if (mine !== turn) return;
    const files = [...new Set(documents.filter(({ status }) => status === 'ready').map(({ file }) => file))].filter((file) => !only.has(file));
    // The press, not the click: the box closes when it loses the focus.
    options.replaceChildren(...files.map((file, index) => h('li', { role: 'option', id: `narrow-${index}`, onpointerdown: (event) => { event.preventDefault(); pick(file); } }, file)));
    if (!files.length) options.append(h('li', { class: 'none', role: 'option', 'aria-disabled': 'true' }, 'No file has that in its name'));
    options.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    activate(files.length ? 0 : -1);
  };
  $('narrow-open').addEventListener('click', () => {
    $('narrow-box').hidden = false;
    $('narrow-open').hidden = true;
    input.value = '';
    input.focus();
    suggest();
  });
  input.addEventListener('input', soon(suggest));
  input.addEventListener('blur', () => close());
  input.addEventListener('keydown', (event) => {
    const { length } = options.children;
    if (event.key === 'ArrowDown') activate((active + 1) % length);
    else if (event.key === 'ArrowUp') activate((active - 1 + length) % length);
    else if (event.key === 'Enter') { if (active >= 0) pick(options.children[active].textContent); }
    else if (event.key === 'Escape') close($('narrow-open'));
    else if (event.key === 'Backspace' && !input.value && only.size) { only.delete([...only].at(-1)); showChips(); return; }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
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
    const chosen = $('collection').value;
    $('collection').replaceChildren(h('option', { value: '' }, 'All files'), ...collections.map(({ name }) => h('option', { value: name }, name)));
    $('collection').value = collections.some(({ name }) => name === chosen) ? chosen : '';
    $('collection-picker').hidden = collections.length < 2;
    $('narrow-open').hidden = status.documents < 2 || !$('narrow-box').hidden;
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
    const passages = [...document.querySelectorAll('.passage')];
    const at = passages.indexOf(document.activeElement) + (event.key === 'j' ? 1 : -1);
    passages[Math.max(0, Math.min(at, passages.length - 1))]?.focus();
  }
});

$('copy').addEventListener('click', copy);
document.querySelector('.private').textContent = `Nothing leaves ${/^(localhost|127\.|\[::1\])/.test(location.hostname) ? 'this machine' : 'these premises'}: your files, your questions and the answers stay here.`;
initNarrow();
initFiles({ onChange: refresh, onNarrow: narrowTo });
refresh();
