// The panel of files: which are in, adding and deleting them, and what the last nightly run did.

import { $, call, count, day, get, h, lost, notice, panel, problemOf, sentence, size, soon, when } from './kit.js';
import { labelsOf, refreshLabels } from './labels.js';
import { cautionsOf } from './passages.js';

const dialog = $('files');
const list = $('files-list');
const door = panel(dialog, () => {
  $('uploads').querySelectorAll('.done').forEach((item) => item.remove());
  if (!sending) $('uploads-sum').textContent = '';
});
const PAGE = 50;
let collections = [];
let changed = () => {};
let narrowTo = () => {};
let asked = 0;

/** Wires the panel up; `onChange` runs after files came or went, `onNarrow` to ask in one file only. */
export function initFiles({ onChange, onNarrow }) {
  changed = onChange;
  narrowTo = onNarrow;
  $('open-files').addEventListener('click', openFiles);
  $('last-sync').addEventListener('click', openFiles);
  $('add-files').addEventListener('click', () => $('picked').click());
  $('picked').addEventListener('change', () => {
    addFiles([...$('picked').files].map(named));
    $('picked').value = '';
  });
  $('files-find').addEventListener('input', soon(() => load()));
  $('files-collection').addEventListener('change', () => load());
  $('files-more').addEventListener('click', () => load(list.children.length));
  initDrop();
}

export function openFiles() {
  door.open(true);
  refreshLabels();
  load();
}

export function showCollections(all) {
  collections = all;
  const several = all.length > 1;
  const select = $('files-collection');
  const chosen = select.value;
  select.replaceChildren(h('option', { value: '' }, 'All collections'), ...all.map(({ name }) => h('option', { value: name }, name)));
  select.value = all.some(({ name }) => name === chosen) ? chosen : '';
  select.hidden = !several;
  $('into-label').hidden = !several;
  $('into-list').replaceChildren(...all.map(({ name }) => h('option', { value: name })));
  if (several && !$('into').value) $('into').value = all[0].name;
}

/** The last nightly run: here in full, on the page as one line. */
export function showReport({ documents, pages, last_sync: last, next_sync: next, running, partly = [], failed = last?.failed ?? [] }) {
  $('files-count').textContent = documents ? count(documents, 'file') : 'Files';
  $('files-sum').textContent = `${count(documents, 'file')}, ${count(pages, 'page')}`;
  const unread = failed.length ? `${count(failed.length, 'file')} could not be read` : '';
  const waiting = partly.length ? `${count(partly.length, 'file')} with pictures that nobody read` : '';
  const line = $('last-sync');
  line.hidden = !last && !unread && !waiting;
  line.textContent = [last && `Last run ${when(last.finished_at)}`, unread, waiting].filter(Boolean).join(': ');
  line.classList.toggle('has-failed', failed.length + partly.length > 0);
  const box = $('sync-report');
  if (!last && !next && !running && !unread && !waiting) return box.replaceChildren();
  // A report lists the files of each kind, but only counts those that are as they were.
  const sums = last && ['added', 'changed', 'moved', 'deleted', 'unchanged'].map((kind) => [last[kind]?.length ?? last[kind], kind])
    .filter(([n]) => n).map(([n, kind]) => `${n.toLocaleString('en')} ${kind}`).join(', ');
  const report = h('section', { class: 'report' },
    running ? h('p', {}, sentence(`${running.what || 'reading files'}${running.total ? `: ${running.done.toLocaleString('en')} of ${running.total.toLocaleString('en')}` : ''}`)) : null,
    last ? h('p', {}, h('strong', {}, `Last run ${when(last.finished_at)}`), `. ${sums || 'Nothing to do'}.`) : null,
    last ? h('p', { class: 'quiet folder' }, last.folder) : null,
    next ? h('p', { class: 'quiet' }, `Next run ${when(next)}.`) : null,
    failed.length ? h('details', { open: box.querySelector('details')?.open ?? failed.length < 4 },
      h('summary', {}, unread),
      h('ul', { class: 'failures' }, failed.map(({ file, reason, hint }) => h('li', {},
        h('span', { class: 'file-name' }, file), h('span', { class: 'bad' }, sentence(reason)), hint ? h('span', { class: 'quiet' }, sentence(hint)) : null)))) : null);
  // Replaced only when it says something new, so that the focus inside it survives the polling.
  if (box.textContent !== report.textContent) box.replaceChildren(report);
}

async function load(offset = 0) {
  const turn = (asked += 1);
  const query = new URLSearchParams({ q: $('files-find').value.trim(), offset, limit: PAGE });
  if ($('files-collection').value) query.set('collection', $('files-collection').value);
  try {
    const { documents, total } = await get(`/api/v1/documents?${query}`);
    if (turn !== asked) return;
    const rows = documents.map(row);
    if (offset) {
      list.append(...rows);
      rows[0]?.querySelector('a, button')?.focus();
    } else {
      list.replaceChildren(...rows);
    }
    if (!list.children.length) list.append(h('li', { class: 'none' }, $('files-find').value ? 'No file has that in its name.' : 'No files yet.'));
    $('files-more').hidden = offset + documents.length >= total;
  } catch (problem) {
    if (turn === asked) list.replaceChildren(h('li', {}, notice(problem)));
  }
}

function row(document) {
  const { id, file, collection, title, pages, size_bytes, added_at, dated, status, problems = [], cautions = [] } = document;
  const facts = [
    dated && `dated ${day(dated)}`, status === 'ready' && count(pages, 'page'), size_bytes && size(size_bytes),
    collections.length > 1 && collection, added_at && `added ${when(added_at)}`,
  ].filter(Boolean).join(' · ');
  const actions = h('span', { class: 'file-do' });
  const labels = labelsOf(document);
  const rest = () => actions.replaceChildren(
    status === 'ready' ? h('button', { type: 'button', class: 'link', 'aria-label': `Ask only in ${file}`, onclick: () => { dialog.close(); narrowTo(file); } }, 'Ask only in this') : '',
    h('a', { class: 'link', href: `/api/v1/documents/${encodeURIComponent(id)}/file`, target: '_blank', rel: 'noopener', 'aria-label': `Open ${file}` }, 'Open'),
    h('button', { type: 'button', class: 'link', 'aria-label': `Add a label to ${file}`, onclick: (event) => labels.add(event.currentTarget) }, 'Add label'),
    h('button', { type: 'button', class: 'link', 'aria-label': `Delete ${file}`, onclick: confirm }, 'Delete'));
  const confirm = () => {
    const keep = h('button', { type: 'button', class: 'link', onclick: () => { rest(); actions.lastElementChild.focus(); } }, 'Keep');
    actions.replaceChildren(h('span', { class: 'sure' }, 'Delete it for everyone?'),
      h('button', { type: 'button', class: 'link bad', 'aria-label': `Yes, delete ${file}`, onclick: remove }, 'Delete'), keep);
    keep.focus();
  };
  const remove = async () => {
    actions.replaceChildren(h('span', { class: 'quiet' }, 'Deleting…'));
    try {
      await call(`/api/v1/documents/${encodeURIComponent(id)}`, { method: 'DELETE' });
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      (next?.querySelector('a, button') ?? $('files-find')).focus();
      if (!list.children.length) load();
      changed();
    } catch (failure) {
      rest();
      item.append(notice(failure));
    }
  };
  rest();
  const item = h('li', { class: `file ${status}` },
    h('span', { class: 'file-name', title: title && title !== file ? title : null }, file),
    h('span', { class: 'quiet' }, status === 'reading' ? `Being read… ${facts}` : facts),
    problems.map((problem) => h('span', { class: 'bad' }, sentence(problem))),
    cautionsOf(cautions),
    labels.list,
    actions);
  return item;
}

const queue = [];
const sums = { all: 0, done: 0, failed: 0 };
let sending = 0;

const named = (file) => ({ file, name: file.name });

/** Adds files under their names, two at a time; each has a row with its progress. */
export function addFiles(files) {
  if (!files.length) return;
  openFiles();
  for (const { file, name } of files) {
    const bar = h('progress', { max: '1', value: '0', 'aria-label': `Sending ${name}` });
    const says = h('span', { class: 'quiet' }, 'Waiting');
    const item = h('li', { class: 'upload' }, h('span', { class: 'file-name' }, name), bar, says);
    $('uploads').append(item);
    queue.push({ file, name, bar, says, item });
  }
  sums.all += files.length;
  sum();
  while (sending < 2 && queue.length) work();
}

function sum() {
  const { all, done, failed } = sums;
  const added = done + failed < all ? `${done} of ${count(all, 'file')} added` : done ? `${count(done, 'file')} added` : '';
  $('uploads-sum').textContent = [added, failed ? `${count(failed, 'file')} failed` : ''].filter(Boolean).join(', ');
}

// A folder brings hundreds of files: the list is drawn again once they pause, and not under a finger.
const settle = soon(() => {
  if (!list.contains(document.activeElement)) load();
  changed();
}, 300);

async function work() {
  sending += 1;
  for (let job; (job = queue.shift());) {
    try {
      await upload(job);
    } catch (problem) {
      finish(job, 'failed', problem.message, problem.hint);
    }
    sum();
    settle();
  }
  sending -= 1;
  if (!sending) Object.assign(sums, { all: 0, done: 0, failed: 0 });
}

async function upload(job) {
  const into = $('into').value.trim();
  const query = new URLSearchParams({ file: job.name });
  if (into && !$('into-label').hidden) query.set('collection', into);
  for (;;) {
    const { status, text, retryAfter } = await send(`/api/v1/documents?${query}`, job);
    if (status >= 200 && status < 300) {
      const { document } = JSON.parse(text);
      return finish(job, 'done', status === 200 ? 'Was already in' : `Added, ${count(document?.pages ?? 0, 'page')}`);
    }
    const problem = problemOf(status, text, retryAfter);
    if (status !== 429) throw problem;
    job.says.textContent = `Premise is busy; trying again in ${problem.retry_s} s`;
    await new Promise((resume) => { setTimeout(resume, problem.retry_s * 1000); });
  }
}

function send(path, { file, bar, says }) {
  return new Promise((resolve, reject) => {
    // fetch cannot report how much of an upload has gone.
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = total ? loaded / total : 0;
      says.textContent = `${size(loaded)} of ${size(total)}`;
    };
    request.upload.onload = () => {
      bar.removeAttribute('value');
      says.textContent = 'Reading…';
    };
    request.onload = () => resolve({ status: request.status, text: request.responseText, retryAfter: request.getResponseHeader('retry-after') });
    request.onerror = () => reject(lost());
    request.send(file);
  });
}

function finish({ bar, says, item }, state, message, hint) {
  bar.remove();
  sums[state] += 1;
  item.classList.add(state);
  says.className = state === 'failed' ? 'bad' : 'good';
  says.textContent = state === 'failed' ? sentence(message) : message;
  if (hint) item.append(h('span', { class: 'quiet' }, sentence(hint)));
  item.append(h('button', { type: 'button', class: 'link upload-away', 'aria-label': `Take ${item.firstElementChild.textContent} off this list`, onclick: () => { item.remove(); $('add-files').focus(); } }, state === 'failed' ? 'Dismiss' : 'OK'));
}

function initDrop() {
  const cover = $('drop');
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
  const hide = () => { cover.hidden = true; };
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    cover.hidden = false;
    (dialog.open ? dialog : document.body).append(cover);
  });
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) hide(); });
  addEventListener('drop', async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    hide();
    // The entries are gone after the first await.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...event.dataTransfer.files].map(named);
    addFiles(entries.length ? (await Promise.all(entries.map(walk))).flat() : plain);
  });
}

/** The files of a dropped entry, through all its folders, named by their path from it on; hidden ones stay out. */
async function walk(entry) {
  if (entry.name.startsWith('.')) return [];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    // The whole path of a dropped entry is its own name after a slash.
    return [{ file, name: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return files;
    files.push(...(await Promise.all(some.map(walk))).flat());
  }
}
