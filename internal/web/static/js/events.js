// What has happened, newest first.

import { get } from './api.js';
import { attr, eachFrame, h, set } from './dom.js';
import { count, date, time } from './format.js';
import { RowWindow } from './window.js';

const most = 1000;

const trouble = ['restart overlimit', 'warning', 'hang', 'memory', 'reload failed'];

const bad = (e) => trouble.includes(e.type) || (e.type === 'exit' && !e.exit?.wanted);

// exitText says how a process ended, as `pace show` does.
function exitText(x) {
  const how = x.error || (x.oom ? `killed by ${x.signal} (out of memory)` : x.signal ? `killed by ${x.signal}` : `exit code ${x.code}`);
  return x.wanted ? `${how}, as asked` : how;
}

const detail = (e) => [e.exit ? exitText(e.exit) : '', e.exit && exitText(e.exit).startsWith(e.detail) ? '' : e.detail, e.by && `by ${e.by}`].filter(Boolean).join('; ');

// eventList is the list as a part of a page: of one app, or of all.
export function eventList(app) {
  let events = [], last = 0;
  const list = h('ol', { class: 'events' });
  const draw = eachFrame(() => {
    list.replaceChildren(...events.slice(0, 60).map((e) => h('li', { 'data-bad': bad(e) || null },
      h('time', { datetime: e.at, title: date(Date.parse(e.at)) }, time(Date.parse(e.at))), ' ',
      h('span', { class: 'kind' }, e.type), ' ', h('span', { class: 'muted' }, `${e.id < 0 ? '' : `#${e.id} `}${detail(e)}`))));
    if (!events.length) list.replaceChildren(h('li', { class: 'muted' }, 'Nothing has happened yet.'));
  });
  draw();
  return { el: list, add: (more) => {
    more = more.filter((e) => !e.seq || e.seq > last);
    last = more.at(-1)?.seq ?? last;
    events = more.filter((e) => e.name === app).reverse().concat(events).slice(0, 200);
    if (more.length) draw();
  } };
}

export function eventPage(main) {
  let events = [], lost = false;
  const filter = h('input', { type: 'search', placeholder: 'Filter by app, event or detail', 'aria-label': 'Filter events', autocomplete: 'off', spellcheck: 'false', 'data-slash': true, on: { input: () => draw() } });
  const troubled = h('input', { type: 'checkbox', on: { change: () => draw() } });
  const shown = h('span', { class: 'muted', role: 'status', 'aria-live': 'polite' });
  const body = h('tbody');
  const empty = h('p', { class: 'empty' }, 'Nothing has happened yet.');
  const table = h('table', { class: 'event-table' }, h('caption', { class: 'hidden' }, 'Events, newest first'), h('thead', null, h('tr', { 'aria-rowindex': 1 },
    ['Time', 'App', 'Event', 'Detail'].map((t) => h('th', { scope: 'col' }, t)))), body);
  main.replaceChildren(h('h1', null, 'Events'),
    h('div', { class: 'tools' }, filter, h('label', { class: 'check' }, troubled, 'Only trouble'), h('span', { class: 'grow' }), shown),
    h('div', { class: 'card flush' }, table, empty));
  const rows = new RowWindow({ body, columns: 4, key: (e) => e.n, make: (e) => ({
    el: h('tr', { class: 'event', 'data-bad': bad(e) || null },
      h('td', { class: 'num' }, h('time', { datetime: e.at, title: date(Date.parse(e.at)) }, time(Date.parse(e.at)))),
      h('td', null, e.name ? h('a', { href: `#/app/${encodeURIComponent(e.name)}` }, e.name) : h('span', { class: 'muted' }, 'Paceline'), h('span', { class: 'muted' }, e.id < 0 ? '' : ` #${e.id}`)),
      h('td', { class: 'kind' }, e.type), h('td', { class: 'detail', title: detail(e) }, detail(e))),
    update: () => {},
  }) });
  let number = 0;
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const list = events.filter((e) => (!troubled.checked || bad(e)) && (!wanted || `${e.name} ${e.type} ${detail(e)}`.toLowerCase().includes(wanted)));
    empty.hidden = list.length > 0;
    table.hidden = list.length === 0;
    set(shown, (list.length < events.length ? `${list.length} of ${count(events.length, 'event')}` : '') + (lost ? ' some were missed' : ''));
    rows.show(list);
  };
  let last = 0;
  const add = (more) => {
    more = more.filter((e) => !e.seq || e.seq > last);
    last = more.at(-1)?.seq ?? last;
    for (const e of more) e.n = ++number;
    events = more.slice().reverse().concat(events).slice(0, most);
    draw();
  };
  const abort = new AbortController();
  get('/api/events', { limit: 500 }, abort.signal).then((list) => {
    events = [];
    last = 0;
    add(list);
  }, () => {}); // the stream says what is wrong
  attr(table, 'hidden', '');
  return { params: {}, events: (e) => {
    lost ||= e.lost;
    add(e.events || []);
  }, end: () => {
    abort.abort();
    rows.end();
  } };
}
