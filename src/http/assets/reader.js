// The panel that shows a page of a document with the cited words marked.

import { $, get, h, notice, panel } from './kit.js';

const dialog = $('reader');
const body = $('reader-body');
// Wide enough to read the page beside the answer; narrower, the panel covers it.
const beside = matchMedia('(min-width: 1100px)');
const door = panel(dialog, () => document.body.classList.remove('reading'));
let shown = null;

/** Opens `page` of a document; `quote` is marked on it, or else as much of `passage` as is found. */
export function openPage({ document: id, file, page, quote, passage }) {
  const modal = !beside.matches;
  if (dialog.open && dialog.matches(':modal') !== modal) dialog.close();
  door.open(modal);
  document.body.classList.toggle('reading', !modal);
  shown = { id, file, cited: page, quote, passage };
  $('reader-file').textContent = file;
  body.replaceChildren();
  turn(page);
}

async function turn(page) {
  const here = shown;
  here.page = page;
  $('reader-page').textContent = `Page ${page}`;
  const open = $('reader-open');
  open.href = `/api/v1/documents/${encodeURIComponent(here.id)}/file#page=${page}`;
  open.firstElementChild.textContent = `Open the file at page ${page}`;
  body.setAttribute('aria-busy', 'true');
  body.focus({ preventScroll: true });
  try {
    const { text, pages, recognised } = await get(`/api/v1/documents/${encodeURIComponent(here.id)}/pages/${page}`);
    if (shown !== here || here.page !== page) return;
    here.pages = pages;
    $('reader-page').textContent = `Page ${page} of ${pages}${recognised === undefined ? '' : ', read by text recognition'}`;
    show(flow(text), here, page);
  } catch (problem) {
    if (shown === here && here.page === page) body.replaceChildren(notice(problem));
  }
  body.removeAttribute('aria-busy');
  // Not `disabled`, which would throw the focus out of the panel at the last page.
  $('reader-back').setAttribute('aria-disabled', page <= 1);
  $('reader-on').setAttribute('aria-disabled', !(page < here.pages));
}

function show(text, { cited, quote, passage }, page) {
  const spans = (quote && find(text, quote)) || (passage && findParts(text, passage)) || [];
  const nodes = [];
  let at = 0;
  for (const [from, to] of spans) {
    nodes.push(text.slice(at, from), h('mark', {}, text.slice(from, to)));
    at = to;
  }
  nodes.push(text.slice(at));
  const missing = page === cited && !spans.length && (quote || passage);
  body.replaceChildren(
    missing ? h('blockquote', { class: 'apart' }, h('p', { class: 'quiet' }, 'The passage, as it was read from this page:'), missing) : '',
    text.trim() ? h('div', { class: 'page-text' }, ...nodes) : h('p', { class: 'quiet' }, 'There is no text on this page.'));
  const first = body.querySelector('mark');
  body.scrollTop = first ? Math.max(0, first.offsetTop - body.clientHeight / 4) : 0;
}

/** Joins the lines of a paragraph so that it fits any width; no letter moves, so spans stay true. */
function flow(text) {
  return text.replace(/(?<=[^\n]{40}[\p{Ll},'’"”)])\n(?=[\p{L}\d("“'‘])|(?<=[^\n]{40})\n(?=\p{Ll})/gu, ' ');
}

/** Where `wanted` stands in `text` when white space and the shape of quotation marks do not count. */
function find(text, wanted) {
  const page = squeeze(text);
  const words = squeeze(wanted).text;
  const start = words ? page.text.indexOf(words) : -1;
  return start < 0 ? null : [[page.places[start], page.places[start + words.length - 1] + 1]];
}

/** A passage may run over two pages or skip a header: its sentences are looked for one by one. */
function findParts(text, passage) {
  const whole = find(text, passage);
  if (whole) return whole;
  const spans = passage.split(/(?<=[.;:!?])\s+|\n+/).filter((part) => part.trim().length > 11)
    .flatMap((part) => find(text, part) ?? []).sort(([a], [b]) => a - b);
  const joined = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last && !text.slice(last[1], span[0]).trim()) last[1] = Math.max(last[1], span[1]);
    else joined.push(span);
  }
  return joined.length ? joined : null;
}

function squeeze(text) {
  const places = [];
  let squeezed = '';
  for (let place = 0; place < text.length; place += 1) {
    const letter = text[place];
    if (/[\s\u00ad\u200b]/.test(letter)) continue;
    squeezed += /[\u2018\u2019]/.test(letter) ? "'" : /[\u201c\u201d]/.test(letter) ? '"' : letter;
    places.push(place);
  }
  return { text: squeezed, places };
}

$('reader-back').addEventListener('click', () => shown.page > 1 && turn(shown.page - 1));
$('reader-on').addEventListener('click', () => shown.page < shown.pages && turn(shown.page + 1));
dialog.addEventListener('keydown', (event) => {
  if (event.key === 'ArrowLeft') $('reader-back').click();
  if (event.key === 'ArrowRight') $('reader-on').click();
});
