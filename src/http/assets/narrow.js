// Where to ask: the collection, files, kinds of file, days and labels that a question is narrowed to.

import { $, day, get, h, soon } from './kit.js';

// What people call a kind of file; for each of its media types the extension that the API takes.
const KINDS = new Map(Object.entries({
  PDF: { 'application/pdf': 'pdf' },
  Word: {
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
    'application/vnd.oasis.opendocument.text': 'odt', 'application/rtf': 'rtf',
  },
  Spreadsheets: {
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx', 'application/vnd.ms-excel': 'xls',
    'application/vnd.oasis.opendocument.spreadsheet': 'ods', 'text/csv': 'csv',
  },
  Presentations: { 'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'pptx' },
  Mail: { 'message/rfc822': 'eml', 'application/vnd.ms-outlook': 'msg' },
  'Web pages': { 'text/html': 'html' },
  Pictures: { 'image/*': 'png' },
  Text: { 'text/plain': 'txt' },
  Markdown: { 'text/markdown': 'md' },
}));
// The extensions of what is in, by kind: only they are offered.
const present = new Map();
const chosen = { files: new Set(), types: new Set(), labels: new Set(), from: '', to: '' };

/** What narrows the next question, as the API takes it. */
export function narrowing() {
  const [from, to] = days();
  const request = {};
  if ($('collection').value) request.collections = [$('collection').value];
  if (chosen.files.size) request.documents = [...chosen.files];
  if (chosen.types.size) request.types = [...chosen.types].flatMap((kind) => present.get(kind));
  if (chosen.labels.size) request.labels = [...chosen.labels];
  if (from) request.dated_from = from;
  if (to) request.dated_to = to;
  return request;
}

/** The same in words; empty when nothing narrows. */
export function inWords({ collections, documents, types, labels, dated_from: from, dated_to: to }) {
  const either = (words) => words.join(' or ');
  const which = [
    collections && `of the collection ${either(collections)}`,
    types && `of the kind ${either([...KINDS].filter(([, all]) => Object.values(all).some((type) => types.includes(type))).map(([kind]) => kind))}`, labels && `labelled ${either(labels)}`,
    (from || to) && `dated ${dated(from, to)} (those that bear no date are left out)`,
  ].filter(Boolean).join(', ');
  const files = documents ? `in ${either(documents)}` : which && 'in files';
  return [files, which].filter(Boolean).join(documents ? ', ' : ' ');
}

/** Takes all narrowing off. */
export function widen() {
  for (const kind of ['files', 'types', 'labels']) chosen[kind].clear();
  Object.assign(chosen, { from: '', to: '' });
  $('collection').value = '';
  show();
}

/** Asks in this file only, or in this one too. */
export function narrowTo(file) {
  chosen.files.add(file);
  show();
  $('question').focus();
}

/** What there is to narrow to; one file alone needs no narrowing. */
export function showPlaces(collections, documents) {
  const was = $('collection').value;
  $('collection').replaceChildren(h('option', { value: '' }, 'All files'), ...collections.map(({ name }) => h('option', { value: name }, name)));
  $('collection').value = collections.some(({ name }) => name === was) ? was : '';
  $('collection-picker').hidden = collections.length < 2;
  $('narrow-open').hidden = documents < 2 || !$('narrow-box').hidden;
  $('more-open').hidden = documents < 2;
}

export function initNarrow() {
  initFileBox();
  initMore();
}

/** From the earlier to the later day, however they were given. */
function days() {
  const { from, to } = chosen;
  return from && to && from > to ? [to, from] : [from, to];
}

function dated(from, to, month) {
  if (from && from === to) return day(from, month);
  if (from && to) return `${day(from, month)} – ${day(to, month)}`;
  return from ? `${day(from, month)} or later` : `${day(to, month)} or earlier`;
}

function show() {
  const chip = (text, label, off) => h('li', { class: 'chip' }, h('span', { title: text }, text), h('button', {
    type: 'button', 'aria-label': label,
    onclick: () => {
      off();
      show();
      $($('narrow-open').hidden ? 'more-open' : 'narrow-open').focus();
    },
  }, '×'));
  const [from, to] = days();
  $('chips').replaceChildren(
    ...[...chosen.files].map((file) => chip(file, `Do not ask only in ${file}`, () => chosen.files.delete(file))),
    ...[...chosen.types].map((kind) => chip(kind, `Do not ask only in files of the kind ${kind}`, () => chosen.types.delete(kind))),
    ...(from || to ? [chip(dated(from, to, 'short'), 'Do not ask only in files of these days', () => Object.assign(chosen, { from: '', to: '' }))] : []),
    ...[...chosen.labels].map((label) => chip(`Label ${label}`, `Do not ask only in files with the label ${label}`, () => chosen.labels.delete(label))));
  $('narrow-open').textContent = chosen.files.size ? 'and in…' : 'Ask only in…';
  for (const box of $('more').querySelectorAll('input[type="checkbox"]')) box.checked = chosen[box.name].has(box.value);
  // Written only when it differs: a date that is half typed would be wiped.
  for (const [box, date] of [[$('dated-from'), chosen.from], [$('dated-to'), chosen.to]]) if (box.value !== date) box.value = date;
}

// ---- more: kinds, days, labels

function initMore() {
  const more = $('more');
  const opener = $('more-open');
  const tick = (name, value, text) => h('label', { class: 'tick' }, h('input', { type: 'checkbox', name, value }), h('span', {}, text));

  const offer = async () => {
    const { labels, media_types: media } = await get('/api/v1/labels').catch(() => ({ labels: [], media_types: [] }));
    // A kind or a label that narrows stays to be taken off, even when its last file has gone.
    for (const [kind, all] of KINDS) {
      const types = media.filter((type) => type in all).map((type) => all[type]);
      if (types.length) present.set(kind, types);
      else if (!chosen.types.has(kind)) present.delete(kind);
    }
    $('more-types').replaceChildren(...[...KINDS.keys()].filter((kind) => present.has(kind)).map((kind) => tick('types', kind, kind)));
    const all = [...new Set([...labels, ...chosen.labels])];
    $('more-labels').replaceChildren(...(all.length ? all.map((label) => tick('labels', label, label))
      : [h('p', { class: 'quiet' }, 'No file has a label yet. You can put labels on files under Files.')]));
    show();
  };
  const close = (focus) => {
    more.hidden = true;
    opener.setAttribute('aria-expanded', 'false');
    focus?.focus();
  };

  opener.addEventListener('click', () => {
    if (!more.hidden) return close();
    more.hidden = false;
    opener.setAttribute('aria-expanded', 'true');
    more.focus({ preventScroll: true });
    offer().then(() => { if (!more.hidden) more.scrollIntoView({ block: 'nearest' }); });
  });
  more.addEventListener('change', ({ target }) => {
    if (target.type === 'checkbox') chosen[target.name][target.checked ? 'add' : 'delete'](target.value);
    else chosen[target === $('dated-from') ? 'from' : 'to'] = target.value;
    show();
  });
  more.addEventListener('keydown', (event) => {
    // Enter would ask the question from here.
    if (event.key === 'Escape' || (event.key === 'Enter' && event.target.matches('input'))) {
      event.preventDefault();
      event.stopPropagation();
      close(event.key === 'Escape' ? opener : $('question'));
    }
  });
  const outside = (node) => node && !more.contains(node) && !opener.contains(node);
  more.addEventListener('focusout', ({ relatedTarget }) => { if (outside(relatedTarget)) close(); });
  addEventListener('pointerdown', ({ target }) => { if (!more.hidden && outside(target)) close(); });
  $('more-none').addEventListener('click', widen);
  $('more-done').addEventListener('click', () => close($('question')));
}

// ---- files by name

function initFileBox() {
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
    const files = [...new Set(documents.filter(({ status }) => status === 'ready').map(({ file }) => file))].filter((file) => !chosen.files.has(file));
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
    else if (event.key === 'Backspace' && !input.value && chosen.files.size) { chosen.files.delete([...chosen.files].at(-1)); show(); return; }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
