// What every part of the page uses: elements, the API, numbers and dates in words, panels.
// Documents are strangers' bytes: text enters the page as text nodes only, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element: `on…` properties listen, the others are attributes, children are nodes or text. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** The API's reasons begin in lower case and have no full stop; here they are sentences. File names stay as they are. */
export function sentence(text) {
  const whole = String(text ?? '').trim().replace(/^\p{Ll}[\p{L}’'-]*(?=[\s,:;])/u, (word) => word[0].toUpperCase() + word.slice(1));
  return /[\p{L}\d)”"'’%]$/u.test(whole) ? `${whole}.` : whole;
}

/** What went wrong, in the words of the server: a sentence and what to do about it. */
export class Problem extends Error {
  constructor({ code, message, hint, retry_s }) {
    super(message);
    Object.assign(this, { code, hint, retry_s });
  }
}

export const lost = () => new Problem({
  code: 'lost',
  message: 'The connection to Premise was lost.',
  hint: 'See whether it is still running on its machine, then try again.',
});

export function problemOf(status, text, retryAfter) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch { /* a proxy's page, not ours: the status has to do */ }
  const busy = status === 429 || status === 503;
  return new Problem({
    code: error.code ?? String(status),
    message: error.message ?? (busy ? 'Premise is busy with other questions.' : `Premise answered with status ${status}.`),
    hint: error.hint,
    retry_s: status === 429 || retryAfter ? Math.max(1, Number.parseInt(retryAfter, 10) || 5) : undefined,
  });
}

/** Fetches from the API; throws a `Problem`, or the `AbortError` of a caller who left. */
export async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (cause) {
    throw cause.name === 'AbortError' ? cause : lost();
  }
  if (!response.ok) throw problemOf(response.status, await response.text(), response.headers.get('retry-after'));
  return response;
}

export const get = async (path) => (await call(path, { headers: { accept: 'application/json' } })).json();

export function post(path, body, signal) {
  return call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal });
}

/** The server-sent events of a response, as `{ event, data }`. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    pending += value;
    for (let end; (end = /\r?\n\r?\n/.exec(pending));) {
      const block = pending.slice(0, end.index);
      pending = pending.slice(end.index + end[0].length);
      let event = 'message';
      const data = [];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith('event:')) event = line.slice(6).trim();
        else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
      }
      if (data.length) yield { event, data: JSON.parse(data.join('\n')) };
    }
  }
}

/** `word` is the plural where an `s` is not enough. */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

export const pagesOf = ({ page_start: from, page_end: to }) => (to > from ? `pages ${from}–${to}` : `page ${from}`);

export function seconds(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 ** 2 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

/** A time of the API (RFC 3339, or Unix seconds) as people say it: "today at 02:00". */
export function when(time) {
  const date = new Date(typeof time === 'number' ? time * 1000 : time);
  if (Number.isNaN(date.getTime())) return '';
  const clock = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
  const midnight = (day) => new Date(day).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(Date.now()) - midnight(date)) / 86_400_000);
  const name = { '-1': 'tomorrow', 0: 'today', 1: 'yesterday' }[days];
  return `${name ?? date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })} at ${clock}`;
}

/** A day of the API (`2018-04-30`) as people write it; it has no time and no zone. */
export function day(date, month = 'long') {
  const [year, monthNumber, number] = date.split('-').map(Number);
  return new Date(year, monthNumber - 1, number).toLocaleDateString('en-GB', { day: 'numeric', month, year: 'numeric' });
}

/** Runs `act` once typing pauses. */
export function soon(act, ms = 150) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}

/** A calm box that says what is wrong and what to do. */
export function notice(problem, ...actions) {
  return h('div', { class: 'notice', role: 'alert' },
    h('p', { class: 'notice-what' }, sentence(problem.message)),
    problem.hint ? h('p', { class: 'notice-hint' }, sentence(problem.hint)) : null,
    actions.length ? h('p', { class: 'notice-do' }, ...actions) : null);
}

/** Keeps Tab inside a dialog, closes it by its button and its backdrop, and gives the focus back unless it went elsewhere. */
export function panel(dialog, closed = () => {}) {
  let opener = null;
  const inside = () => [...dialog.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
    .filter((node) => !node.disabled && node.tabIndex >= 0 && node.getClientRects().length);
  dialog.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      dialog.close();
    } else if (event.key === 'Tab') {
      const stops = inside();
      const edge = event.shiftKey ? stops[0] : stops.at(-1);
      if (document.activeElement === edge || !dialog.contains(document.activeElement)) {
        event.preventDefault();
        (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
      }
    }
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog || event.target.closest('[data-close]')) dialog.close();
  });
  dialog.addEventListener('close', () => {
    closed();
    // This comes a moment after closing: whoever types already is left alone.
    const isFree = !dialog.open && (document.activeElement === document.body || dialog.contains(document.activeElement));
    if (opener?.isConnected && isFree) opener.focus({ preventScroll: true });
    opener = null;
  });
  return {
    open(modal) {
      if (dialog.open) return;
      opener = document.activeElement;
      if (modal) dialog.showModal();
      else dialog.show();
    },
  };
}
