// Passages: where each stands, its words, where else they stand, and why it came.

import { count, day, h, pagesOf, sentence } from './kit.js';
import { openPage } from './reader.js';

let drawn = 0;

/** Passages as items of a list. `best` is the score that fills the bar, `from` how many stand before them. */
export function passagesOf(passages, { question, best, from = 0 }) {
  // The service says which words count; without it, all but the shortest do.
  const words = [...new Set(question.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? [])];
  return passages.map((passage, index) => {
    const { document: id, file, page_start: page, text, score, dated, recognised, also = [], cautions = [], why } = passage;
    const n = from + index + 1;
    const described = `snippet-${drawn += 1}`;
    const bar = h('span', { class: 'score', 'aria-hidden': 'true', title: `Closeness ${score.toFixed(3)}` }, h('span'));
    bar.firstChild.style.width = `${Math.max(4, Math.min(100, Math.round((score / best) * 100)))}%`;
    const under = [pathOf(passage).join(' › '), dated && `dated ${day(dated)}`].filter(Boolean).join(' · ');
    return h('li', {},
      h('button', {
        type: 'button', class: 'passage', 'aria-haspopup': 'dialog', 'aria-label': `Passage ${n}: ${file}, ${pagesOf(passage)}`,
        'aria-describedby': described, onclick: () => openPage({ document: id, file, page, passage: text }),
      }, h('span', { class: 'passage-where' }, bar, h('b', {}, file), ` ${pagesOf(passage)}`, recognised === undefined ? null : recognition(recognised)),
      under ? h('span', { class: 'path' }, under) : null,
      h('span', { class: 'snippet', id: described }, snippet(text, why?.words.length ? why.words : words))),
      cautionsOf(cautions),
      also.length || why ? h('div', { class: 'passage-foot' }, alsoIn(also, text), why ? whyOf(why, passage, question) : null) : null);
  });
}

/** What a person should know of a document before relying on it. */
export function cautionsOf(cautions) {
  if (!cautions.length) return null;
  return h('ul', { class: 'cautions', 'aria-label': 'To be taken with care' }, cautions.map(({ message }) => h('li', {}, sentence(message))));
}

/** The mark of words that a machine has read in a picture and that may be wrong. */
const recognition = (sure) => h('span', { class: 'recognised' }, `read by text recognition, ${Math.round(sure * 100)} % sure`);

/** The score that fills the bar. */
export const bestOf = (passages) => Math.max(...passages.map(({ score }) => score), Number.EPSILON);

/** The title and the headings that a passage stands under, each once. */
function pathOf({ file, title, section = [] }) {
  const plain = (words) => words.toLowerCase().replace(/[^\p{L}\d]/gu, '');
  const stem = plain(file.replace(/^.*\//, '').replace(/\.\w+$/, ''));
  // A heading out of a table of contents brings its dots and page number along.
  return [title, ...section].map((part) => part?.replace(/[.·…\s]{4,}\d*\s*$/, '')).filter((part, at, all) => part?.trim() && plain(part) !== stem
    && all.findIndex((other) => other && plain(other) === plain(part)) === at);
}

function alsoIn(also, text) {
  if (!also.length) return null;
  const files = new Set(also.map(({ file }) => file)).size;
  return h('details', {}, h('summary', {}, `The same words, or nearly, in ${count(files, 'other file')}`),
    h('ul', { class: 'also' }, also.map(({ document: id, file, page }) => h('li', {}, h('button', {
      type: 'button', class: 'link', 'aria-haspopup': 'dialog', onclick: () => openPage({ document: id, file, page, passage: text }),
    }, `${file}, page ${page}`)))));
}

function whyOf({ asked, named, meaning_rank: meaning, words_rank: byWords, words, exact, reranker_score: reranked }, { file, page_start: page }, question) {
  const quoted = (all) => all.map((word) => `“${word}”`).join(', ');
  const ranks = [meaning && `number ${meaning} by meaning`, byWords && `number ${byWords} by words`].filter(Boolean);
  const reasons = [
    named && 'Your question names this file.',
    ranks.length && `${named ? 'In it, this passage is' : 'Of the passages searched it is'} ${ranks.join(' and ')}.`,
    words.length && `It has these words of your question: ${whole(words, `${asked} ${question}`).join(', ')}.`,
    exact.length && `It has exactly as you wrote it: ${quoted(exact)}.`,
    reranked !== undefined && 'A second model compared it with your question and put it in this place.',
  ].filter(Boolean);
  return h('details', {}, h('summary', { 'aria-label': `Why this passage: ${file}, page ${page}` }, 'Why this passage'),
    h('ul', { class: 'why' }, reasons.map((reason) => h('li', {}, reason))));
}

/** Words without their endings as the question has them. */
function whole(stems, question) {
  const words = question.toLowerCase().match(/[\p{L}\d][\p{L}\d.\-/§]*/gu) ?? [];
  return [...new Set(stems.map((stem) => words.find((word) => word.startsWith(stem)) ?? stem))].map((word) => word.replace(/[.\-/]+$/, ''));
}

/** The part of a passage that holds most of the question's words, with those words in bold. */
function snippet(text, words) {
  const sentences = text.replace(/^#{1,6} +/gm, '').replace(/[.·…]{4,}/g, '…').replace(/\s+/g, ' ').trim().split(/(?<=[.;:!?]) /);
  const held = (sentence) => words.filter((word) => sentence.toLowerCase().includes(word)).length;
  let best = 0;
  sentences.forEach((sentence, index) => { if (held(sentence) > held(sentences[best])) best = index; });
  // A match near the end keeps the sentences before it: three short lines would look cut off.
  while (best > 0 && sentences.slice(best).join(' ').length < 180) best -= 1;
  const shown = (best ? '… ' : '') + sentences.slice(best).join(' ').slice(0, 600);
  return shown.split(/([\p{L}\d]+)/u).map((part) => (words.some((word) => part.toLowerCase().startsWith(word)) ? h('b', {}, part) : part));
}
