// The labels of a file in the panel of files: words that people put on it, to narrow questions by.

import { $, call, get, h, notice } from './kit.js';

/** Offers the labels that other files have while one is typed. */
export async function refreshLabels() {
  const { labels } = await get('/api/v1/labels').catch(() => ({ labels: [] }));
  $('labels-known').replaceChildren(...labels.map((label) => h('option', { value: label })));
}

/** The list of a document's labels; `add` opens a box for one more and gives the focus back to its opener. */
export function labelsOf({ id, file, labels: first = [] }) {
  let labels = first;
  const list = h('ul', { class: 'tags', 'aria-label': `Labels of ${file}` });

  const draw = (...more) => {
    list.replaceChildren(...labels.map((label) => h('li', { class: 'chip' }, h('span', { title: label }, label),
      h('button', { type: 'button', 'aria-label': `Take the label ${label} off ${file}`, onclick: () => takeOff(label) }, '×'))), ...more);
    list.hidden = !list.children.length;
  };

  const save = async (wanted) => {
    try {
      const response = await call(`/api/v1/documents/${encodeURIComponent(id)}/labels`, {
        method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ labels: wanted }),
      });
      labels = (await response.json()).document.labels;
      draw();
      refreshLabels();
    } catch (problem) {
      draw(h('li', { class: 'tags-problem' }, notice(problem)));
    }
  };

  const takeOff = async (label) => {
    const at = labels.indexOf(label);
    await save(labels.filter((other) => other !== label));
    (list.querySelectorAll('.chip button')[at] ?? list.parentElement?.querySelector('.file-do :last-child'))?.focus();
  };

  const add = (opener) => {
    const input = h('input', { type: 'text', class: 'tag-new', list: 'labels-known', maxlength: '60', autocomplete: 'off', spellcheck: 'false',
      'aria-label': `New label for ${file}`, placeholder: 'Label, then Enter' });
    const leave = () => {
      draw();
      opener.focus();
    };
    input.addEventListener('keydown', async (event) => {
      if (event.key === 'Escape') {
        event.preventDefault();
        event.stopPropagation();
        leave();
      } else if (event.key === 'Enter' && !event.isComposing) {
        event.preventDefault();
        const label = input.value.trim();
        if (!label) return leave();
        input.disabled = true;
        await save([...labels, label]);
        // The next label goes in at once; Esc or an empty line ends it.
        if (labels.length && !list.querySelector('.notice')) add(opener);
      }
    });
    input.addEventListener('blur', () => { if (!input.disabled && !input.value.trim()) draw(); });
    draw(h('li', {}, input));
    input.focus();
  };

  draw();
  return { list, add };
}
