// Live logs of an app. Of the lines that are kept only those in sight are in the
// document, and they are drawn once per frame, however many arrive.

import { get } from './api.js';
import { parse, plain } from './ansi.js';
import { attr, eachFrame, fail, h, set } from './dom.js';
import { count, date, time } from './format.js';

const most = 5000; // lines that are kept
const spare = 500; // dropped at a time
const height = 20; // pixels of a line, as in the style sheet

export function logs(app) {
  let lines = []; // {n, id, stream, at, raw, text}
  let shown = []; // those that are not filtered out
  let number = 0, following = true, paused = false, waiting = [], found = null, cut = false, searching = null, wanted = '', dropped = 0;

  const search = h('input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search logs', autocomplete: 'off', spellcheck: 'false', 'data-slash': true });
  const only = h('input', { type: 'checkbox' });
  const stream = h('select', { 'aria-label': 'Stream' }, h('option', { value: '' }, 'out + err'), h('option', { value: 'out' }, 'out'), h('option', { value: 'err' }, 'err'));
  const instance = h('select', { 'aria-label': 'Instance' }, h('option', { value: '' }, 'all instances'));
  const pause = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
  const files = h('button', { type: 'button', title: 'Search all log files, rotated ones too, with a regular expression (RE2)' }, 'Search files');
  const level = h('select', { 'aria-label': 'Least level', title: 'Search the files for lines of this level or a more serious one' },
    h('option', { value: '' }, 'any level'), ...['debug', 'info', 'warn', 'error', 'fatal'].map((l) => h('option', { value: l }, l === 'fatal' ? l : `${l} or worse`)));
  const since = h('select', { 'aria-label': 'Since', title: 'Search the files for lines since then' },
    ...[['', 'any time'], ['10m', 'last 10 min'], ['1h', 'last hour'], ['24h', 'last 24 h'], ['168h', 'last 7 days']].map(([value, text]) => h('option', { value }, text)));
  const live = h('button', { type: 'button', hidden: true }, 'Back to live');
  const status = h('span', { class: 'muted', role: 'status', 'aria-live': 'polite' });
  const end = h('button', { type: 'button', class: 'end', hidden: true }, '↓ Newest');
  const spacer = h('div', { class: 'log-space' });
  const rows = h('div', { class: 'log-rows' });
  const view = h('div', { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': `Log of ${app}`, tabindex: 0 }, spacer, rows);
  const el = h('section', { class: 'card logs', 'aria-labelledby': 'logs-h' },
    h('h2', { id: 'logs-h' }, 'Logs'),
    h('div', { class: 'tools' }, search, h('label', { class: 'check' }, only, 'Matches only'), stream, instance, pause, files, level, since, live, h('span', { class: 'grow' }), status),
    h('div', { class: 'log-box' }, view, end));

  const draw = eachFrame(render);
  const passes = (l) => (!stream.value || l.stream === stream.value || l.stream === 'notice') &&
    (!instance.value || l.id === Number(instance.value) || l.id < 0) && (found || !only.checked || !wanted || matches(l));
  const matches = (l) => (l.low ??= l.text.toLowerCase()).includes(wanted);
  const sift = () => {
    shown = (found ?? lines).filter(passes);
    draw();
  };
  const make = (raw) => ({ n: ++number, id: raw.i, stream: raw.s, at: raw.t, raw: raw.c ? `${raw.x} … ${count(raw.c, 'byte')} more` : raw.x, text: plain(raw.x) });

  function add(list) {
    if (paused) {
      waiting.push(...list);
      if (waiting.length > most) waiting.splice(0, waiting.length - most);
      tell();
      return;
    }
    for (const raw of list) {
      const l = make(raw);
      lines.push(l);
      if (!found && passes(l)) shown.push(l);
    }
    if (lines.length > most + spare) {
      lines.splice(0, lines.length - most);
      if (!found) {
        const before = shown.length, first = lines[0].n;
        const gone = shown.findIndex((l) => l.n >= first);
        shown.splice(0, gone < 0 ? before : gone);
        dropped += before - shown.length;
      }
    }
    draw();
  }

  function tell() {
    let text = '';
    if (searching) text = 'searching…';
    else if (found) text = `${count(shown.reduce((n, l) => n + (l.stream === 'notice' ? 0 : 1), 0), 'line')} found${cut ? ', the newest' : ''}`;
    else if (paused) text = `paused, ${count(waiting.length, 'new line')}`;
    else if (wanted) text = `${count(shown.reduce((n, l) => n + (matches(l) ? 1 : 0), 0), 'match').replace('matchs', 'matches')}`;
    set(status, text);
  }

  function render() {
    const total = shown.length * height;
    if (dropped && !following) view.scrollTop = Math.max(0, view.scrollTop - dropped * height);
    dropped = 0;
    spacer.style.height = `${total}px`;
    if (following) view.scrollTop = total;
    const from = Math.max(0, Math.floor(view.scrollTop / height) - 10);
    const to = Math.min(shown.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + 10);
    rows.style.transform = `translateY(${from * height}px)`;
    const old = new Map();
    for (const row of rows.children) old.set(row.line, row);
    const list = [];
    for (let i = from; i < to; i++) list.push(old.get(shown[i]) ?? draft(shown[i]));
    rows.replaceChildren(...list);
    attr(end, 'hidden', following ? '' : null);
    if (performance.now() - told > 500) {
      told = performance.now();
      tell();
    }
  }
  let told = 0;

  function draft(l) {
    const text = h('span', { class: 'log-text' });
    for (const part of parse(l.raw)) {
      for (const [piece, hit] of marked(part.text)) {
        const inner = hit ? h('mark', null, piece) : piece;
        text.append(part.classes ? h('span', { class: part.classes }, inner) : inner);
      }
    }
    const row = h('div', { class: `log-line s-${l.stream}` },
      h('span', { class: 'log-at', title: l.at ? date(l.at) : null }, l.at ? time(l.at) : ''),
      h('span', { class: 'log-id' }, l.id >= 0 ? `#${l.id}` : ''), text);
    row.line = l;
    return row;
  }

  // marked splits a text at what is searched for.
  function* marked(text) {
    if (!wanted) {
      yield [text, false];
      return;
    }
    const low = text.toLowerCase();
    if (low.length !== text.length) { // letters whose case changes their number
      yield [text, false];
      return;
    }
    let from = 0;
    for (let at; (at = low.indexOf(wanted, from)) >= 0; from = at + wanted.length) {
      if (at > from) yield [text.slice(from, at), false];
      yield [text.slice(at, at + wanted.length), true];
    }
    if (from < text.length) yield [text.slice(from), false];
  }

  function redraw() {
    rows.replaceChildren();
    sift();
    told = 0;
  }

  view.addEventListener('scroll', () => {
    following = !found && view.scrollTop + view.clientHeight >= view.scrollHeight - height * 1.5;
    draw();
  }, { passive: true });
  end.addEventListener('click', () => {
    following = true;
    draw();
    view.focus();
  });
  search.addEventListener('input', () => {
    wanted = search.value.toLowerCase();
    redraw();
  });
  search.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') searchFiles();
  });
  for (const input of [only, stream, instance]) input.addEventListener('change', redraw);
  pause.addEventListener('click', () => {
    paused = !paused;
    attr(pause, 'aria-pressed', paused);
    set(pause, paused ? 'Go on' : 'Pause');
    if (!paused) {
      const late = waiting;
      waiting = [];
      add(late);
    }
    tell();
  });
  files.addEventListener('click', searchFiles);
  for (const input of [level, since]) input.addEventListener('change', searchFiles);
  live.addEventListener('click', () => {
    searching?.abort();
    searching = found = null;
    level.value = since.value = '';
    following = true;
    attr(live, 'hidden', '');
    redraw();
  });

  // A search takes the place of one that has not ended.
  async function searchFiles() {
    searching?.abort();
    const mine = searching = new AbortController();
    tell();
    try {
      const asked = { app, grep: search.value, ignore_case: 1, level: level.value, since: since.value, stream: stream.value, id: instance.value };
      const reply = await get('/api/logs', asked, mine.signal);
      if (mine !== searching) return;
      found = reply.lines.map(make);
      cut = reply.more;
      following = false;
      attr(live, 'hidden', null);
      redraw();
      view.scrollTop = found.length * height;
    } catch (error) {
      if (mine === searching && error.status !== 401) fail(`Search: ${error.message}`);
    } finally {
      if (mine === searching) {
        searching = null;
        tell();
      }
    }
  }

  let ids = '';
  return {
    el,
    add,
    begun: () => { // the stream begins anew, with the last lines again
      lines = [];
      if (!found) shown = [];
      draw();
    },
    instances: (list) => {
      const now = list.map((i) => i.id).join();
      if (now === ids) return;
      ids = now;
      const chosen = instance.value;
      instance.replaceChildren(h('option', { value: '' }, 'all instances'), ...list.map((i) => h('option', { value: i.id }, `#${i.id}`)));
      instance.value = list.some((i) => String(i.id) === chosen) ? chosen : '';
    },
  };
}
