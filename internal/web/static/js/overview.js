// The page of all apps: a row each, with live charts.

import { get } from './api.js';
import { button } from './actions.js';
import { attr, h, set } from './dom.js';
import { bytes, count, percent, rate, span } from './format.js';
import { spark, sparkSize } from './spark.js';
import { RowWindow } from './window.js';

const columns = [
  { id: 'name', name: 'App', by: (a) => a.name },
  { id: 'state', name: 'State', by: (a) => a.state + a.name },
  { id: 'cpu', name: 'CPU', by: (a) => -a.cpu },
  { id: 'memory', name: 'Memory', by: (a) => -a.memory },
  { id: 'traffic', name: 'Connections', by: (a) => -(a.accepted ?? -1) },
  { id: 'restarts', name: 'Restarts', by: (a) => -a.restarts },
  { id: 'uptime', name: 'Uptime', by: (a) => -(a.started || 0) },
];

export function overview(main, state) {
  let order = columns[0], backwards = false;
  const tile = (name) => {
    const value = h('dd', null, '–');
    return { el: h('div', { class: 'tile' }, h('dt', null, name), value), value };
  };
  const tiles = { apps: tile('Apps'), instances: tile('Online'), cpu: tile('CPU'), memory: tile('Memory'), accepted: tile('Connections/s'), restarts: tile('Restarts') };
  const filter = h('input', { type: 'search', id: 'filter', placeholder: 'Filter by name, port or state', 'aria-label': 'Filter apps', autocomplete: 'off', spellcheck: 'false', 'data-slash': true, on: { input: () => draw() } });
  const troubled = h('input', { type: 'checkbox', on: { change: () => draw() } });
  const shown = h('span', { class: 'muted', role: 'status', 'aria-live': 'polite' });
  const heads = columns.map((c) => {
    const th = h('th', { scope: 'col', role: 'columnheader', class: `c-${c.id}` }, h('button', { type: 'button', class: 'sort', on: {
      click: () => {
        backwards = order === c && !backwards;
        order = c;
        draw();
      },
    } }, c.name));
    return th;
  });
  const body = h('tbody', { role: 'rowgroup' });
  const empty = h('p', { class: 'empty', hidden: true });
  // Roles by name: on a phone rows are boxes, which would take a table's meaning away.
  const table = h('table', { class: 'apps', role: 'table' }, h('caption', { class: 'hidden' }, 'Apps'),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row', 'aria-rowindex': 1 }, heads, h('th', { scope: 'col', role: 'columnheader', class: 'c-act' }, h('span', { class: 'hidden' }, 'Actions')))), body);
  main.replaceChildren(
    h('h1', { class: 'hidden' }, 'Apps'),
    h('dl', { class: 'tiles' }, Object.values(tiles).map((t) => t.el)),
    h('div', { class: 'tools' }, filter, h('label', { class: 'check' }, troubled, 'Only in trouble'), h('span', { class: 'grow' }), shown),
    h('div', { class: 'card flush' }, table, empty));

  const rows = new RowWindow({ body, columns: columns.length + 1, key: (a) => a.name, make: appRow });

  function draw() {
    const t = state.totals();
    set(tiles.apps.value, t.apps);
    set(tiles.instances.value, `${t.online} / ${t.instances}`);
    attr(tiles.instances.value, 'class', t.bad ? 'bad' : null);
    set(tiles.cpu.value, percent(t.cpu));
    set(tiles.memory.value, bytes(t.memory));
    set(tiles.accepted.value, rate(t.accepted));
    set(tiles.restarts.value, t.restarts);
    const wanted = filter.value.trim().toLowerCase();
    const list = [...state.apps.values()].filter((a) =>
      (!troubled.checked || a.state === 'errored' || a.state === 'waiting' || a.online < a.instances.length) &&
      (!wanted || a.name.toLowerCase().includes(wanted) || a.state.includes(wanted) || [...a.ports].some((p) => p.includes(wanted))));
    list.sort((a, b) => {
      const x = order.by(a), y = order.by(b);
      const n = x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1;
      return backwards ? -n : n;
    });
    columns.forEach((c, i) => attr(heads[i], 'aria-sort', c !== order ? null : (typeof c.by(dummy) === 'number') !== backwards ? 'descending' : 'ascending'));
    set(shown, list.length === t.apps ? '' : `${list.length} of ${count(t.apps, 'app')}`);
    empty.hidden = list.length > 0 || !state.known;
    set(empty, t.apps ? 'No app is like that.' : 'No app yet. `pace start server.js` starts one.');
    table.hidden = list.length === 0;
    rows.show(list);
  }

  const abort = new AbortController();
  get('/api/overview', null, abort.signal).then((chart) => {
    state.older(chart);
    draw();
  }, () => {}); // the stream says what is wrong
  if (state.known) draw();
  return {
    params: {},
    state: draw,
    end: () => {
      abort.abort();
      rows.end();
    },
  };
}

const dummy = { name: '', state: '', cpu: 0, memory: 0, accepted: 0, restarts: 0, started: 0 };

const canvas = () => h('canvas', { class: 'spark', 'aria-hidden': 'true', width: sparkSize.width, height: sparkSize.height });

// badge shows a state in words and colour.
export function badge() {
  const el = h('span', { class: 'badge' });
  return { el, show: (state, text) => {
    attr(el, 'data-state', state);
    set(el, text);
  } };
}

function appRow(first) {
  let app = first;
  const link = h('a', { class: 'name', href: `#/app/${encodeURIComponent(app.name)}` }, app.name);
  const under = h('span', { class: 'under' });
  const state = badge();
  const cell = (id, ...children) => h('td', { role: 'cell', class: `c-${id}` }, children);
  const cpu = { c: canvas(), v: h('span', { class: 'num' }) };
  const memory = { c: canvas(), v: h('span', { class: 'num' }) };
  const traffic = { c: canvas(), v: h('span', { class: 'num' }), q: h('span', { class: 'under' }) };
  const restarts = h('td', { role: 'cell', class: 'c-restarts num' }), uptime = h('td', { role: 'cell', class: 'c-uptime num' });
  const target = () => [app.name, { instances: app.instances.length }];
  const reload = button('reload', target, true), restart = button('restart', target, true), stop = button('stop', target, true), start = button('start', target, true);
  for (const b of [reload, restart, stop, start]) b.setAttribute('aria-label', `${b.textContent} ${app.name}`);
  const el = h('tr', { class: 'app', role: 'row' },
    h('th', { scope: 'row', role: 'rowheader', class: 'c-name' }, link, under), cell('state', state.el),
    cell('cpu', h('span', { class: 'with' }, cpu.c, cpu.v)), cell('memory', h('span', { class: 'with' }, memory.c, memory.v)),
    cell('traffic', h('span', { class: 'with' }, traffic.c, h('span', { class: 'num' }, traffic.v, traffic.q))),
    restarts, uptime, h('td', { role: 'cell', class: 'c-act' }, h('span', { class: 'acts' }, reload, restart, stop, start)));
  return { el, update: (a) => {
    app = a;
    const n = a.instances.length, running = a.state !== 'stopped' && a.state !== 'errored' || a.online > 0;
    const ports = [...a.ports];
    set(under, a.reason || (ports.length > 3 ? `${ports.slice(0, 3).join(' ')} +${ports.length - 3}` : ports.join(' ')) || a.mode);
    attr(under, 'title', a.reason || null);
    attr(under, 'data-bad', a.reason && a.state !== 'online' ? '' : null);
    state.show(a.state, n === 1 ? a.state : `${a.state === 'online' || a.online ? 'online' : a.state} ${a.online}/${n}`);
    spark(cpu.c, a.rings.cpu.values, 'c1', 10);
    set(cpu.v, percent(a.cpu));
    spark(memory.c, a.rings.memory.values, 'c2');
    set(memory.v, bytes(a.memory));
    attr(traffic.c, 'hidden', a.accepted === null ? '' : null);
    if (a.accepted !== null) spark(traffic.c, a.rings.accepted.values, 'c3', 1);
    set(traffic.v, a.accepted === null ? '–' : `${rate(a.accepted)}/s`);
    set(traffic.q, a.queue ? `${a.queue} wait` : '');
    set(restarts, a.restarts);
    set(uptime, a.started ? span(Date.now() - a.started) : '–');
    reload.hidden = restart.hidden = stop.hidden = !running;
    start.hidden = running;
  } };
}
