// The answer: its text with a mark for each source, the list of sources, and both as plain text.

import { day, h } from './kit.js';
import { openPage } from './reader.js';

/**
 * Numbers the sources of an answer from 1 as they appear. The API marks passages: `[2]` may stand
 * twice with two quotes, one citation a mark and in their order. A mark becomes U+E000 n U+E001,
 * so that brackets out of a document stay what they are.
 */
export function numbered(answer, citations) {
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
export function blocks(text, citations, passages) {
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

/** The sources of an answer, each a way to its page. */
export const sourcesOf = ({ done: { citations }, passages }) => citations.map((citation) => source(citation, passages, String(citation.n)));

/** The quotes that bear on a question, as they are known before an answer is written. */
export const evidenceOf = ({ evidence, passages }) => evidence.map((quote) => source({ ...quote, passage: quote.n }, passages, '›'));

/** What each of several documents says that do not say the same, newest first. */
export const differingOf = (versions, passages) => versions.map((version) => source({ ...version, passage: version.n }, passages, '≠', version.dated ? `dated ${day(version.dated)}` : 'without a date'));

function source(citation, passages, sign, when) {
  return h('li', {},
    h('button', { type: 'button', class: 'source', 'aria-haspopup': 'dialog', onclick: () => openCitation(citation, passages) },
      h('span', { class: 'source-n', 'aria-hidden': 'true' }, sign),
      h('span', { class: 'source-where' }, h('b', {}, citation.file), ` page ${citation.page}${when ? `, ${when}` : ''}`),
      h('q', { class: 'source-quote' }, citation.quote.replace(/\s+/g, ' ').trim())));
}

/** What one of several files says, as a row of a table. */
export function rowOf({ document: id, file, dated, grade, answer, citations }) {
  const says = grade !== 'not_in_files';
  const { text, citations: sources } = numbered(answer, says ? citations : []);
  const open = () => openPage({ document: id, file, page: citations[0].page, quote: citations[0].quote });
  return h('tr', { class: says ? '' : 'says-nothing' },
    h('th', { scope: 'row' }, file, dated ? h('span', { class: 'quiet' }, `dated ${day(dated)}`) : null),
    h('td', {}, h('div', { class: 'answer' }, blocks(text, new Map(sources.map((citation) => [citation.n, citation])), [])),
      sources.length ? h('ol', { class: 'sources', 'aria-label': `Sources in ${file}` }, sourcesOf({ done: { citations: sources }, passages: [] }))
        : citations.length ? h('button', { type: 'button', class: 'link', 'aria-haspopup': 'dialog', onclick: open }, `Closest: page ${citations[0].page}`) : null));
}

/** What a grade says to the person who asks; `leftOut` sentences of the model had nothing behind them. */
export function gradeOf(grade, leftOut) {
  if (grade === 'answered') return '';
  if (grade === 'not_in_files') return 'Not in your files';
  const why = leftOut ? `${leftOut === 1 ? 'one sentence' : `${leftOut} sentences`} of the draft had no support in your files and ${leftOut === 1 ? 'was' : 'were'} not taken over` : 'your files may say more, or less, than this';
  return `Answered in part: ${why}.`;
}

/** The text of an answer without its marks. */
export const bare = (text) => text.replace(/\s*\ue000\d+\ue001/g, '').trim();

/** The answer with its sources as plain text, for a letter or a file note. */
export function plain({ question, understood, rows, done: { text, citations } }) {
  if (rows.length) return [question, '', ...rows.map(plainRow)].join('\n');
  const sources = citations.map(({ n, file, page, quote }) => `[${n}] ${file}, page ${page}: “${quote.replace(/\s+/g, ' ').trim()}”`);
  return [question, ...(understood ? [`Understood as: ${understood}`] : []), '', text.trim().replace(/\ue000(\d+)\ue001/g, '[$1]'), ...(sources.length ? ['', 'Sources', ...sources] : [])].join('\n');
}

function plainRow({ file, grade, answer, citations }) {
  const says = numbered(answer, grade === 'not_in_files' ? [] : citations);
  return [`${file}: ${says.text.replace(/\ue000(\d+)\ue001/g, '[$1]')}`, ...says.citations.map(({ n, page, quote }) => `  [${n}] page ${page}: “${quote.replace(/\s+/g, ' ').trim()}”`)].join('\n');
}
