// The answer: its text with a mark for each source, the list of sources, and both as plain text.

import { h } from './kit.js';
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
export function sourcesOf({ done: { citations }, passages }) {
  return citations.map((citation) => h('li', {},
    h('button', { type: 'button', class: 'source', 'aria-haspopup': 'dialog', onclick: () => openCitation(citation, passages) },
      h('span', { class: 'source-n', 'aria-hidden': 'true' }, String(citation.n)),
      h('span', { class: 'source-where' }, h('b', {}, citation.file), ` page ${citation.page}`),
      h('q', { class: 'source-quote' }, citation.quote.replace(/\s+/g, ' ').trim()))));
}

/** The text of an answer without its marks. */
export const bare = (text) => text.replace(/\s*\ue000\d+\ue001/g, '').trim();

/** The answer with its sources as plain text, for a letter or a file note. */
export function plain({ question, understood, done: { text, citations } }) {
  const sources = citations.map(({ n, file, page, quote }) => `[${n}] ${file}, page ${page}: “${quote.replace(/\s+/g, ' ').trim()}”`);
  return [question, ...(understood ? [`Understood as: ${understood}`] : []), '', text.trim().replace(/\ue000(\d+)\ue001/g, '[$1]'), ...(sources.length ? ['', 'Sources', ...sources] : [])].join('\n');
}
