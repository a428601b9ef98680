// What can be kept of an answer: its evidence as a file, and what a person thought of it. Nothing is kept without a click.

import { $, call, h, notice, post } from './kit.js';

const OPINIONS = [['helpful', 'Helpful'], ['not_helpful', 'Not helpful'], ['wrong_citation', 'Wrong citation']];
const TELLS = 'A click keeps the question and this answer on the machine that Premise runs on, for its keeper to learn from. Nothing else is kept.';

/** Offers both for an answer of that identity; an answer without one has nothing to offer. */
export function offerToKeep(id) {
  $('evidence').hidden = !id;
  $('opinion').hidden = !id;
  if (!id) return;
  $('evidence').href = `/api/v1/answers/${encodeURIComponent(id)}/bundle`;
  const says = h('p', { id: 'opinion-says', class: 'quiet', role: 'status' }, TELLS);
  const buttons = OPINIONS.map(([opinion, text]) => h('button', {
    type: 'button', class: 'plain small', 'aria-pressed': 'false', 'aria-describedby': 'opinion-says', onclick: ({ currentTarget }) => click(currentTarget, opinion),
  }, text));
  const click = async (button, opinion) => {
    const was = button.getAttribute('aria-pressed') === 'true';
    try {
      if (was) await call(`/api/v1/feedback/${encodeURIComponent(id)}`, { method: 'DELETE' });
      else await post('/api/v1/feedback', { answer: id, opinion });
      for (const one of buttons) one.setAttribute('aria-pressed', one === button && !was);
      says.replaceChildren(was ? 'Taken back: nothing is kept.' : 'Kept, with the question and the answer. A second click takes it back.');
    } catch (problem) {
      says.replaceChildren(notice(problem));
    }
  };
  $('opinion').replaceChildren(h('div', { role: 'group', 'aria-label': 'What do you think of this answer?' }, buttons), says);
}
