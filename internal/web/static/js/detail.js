// The page of one app.

import { get, post } from './api.js';
import { button } from './actions.js';
import { plain } from './ansi.js';
import { ask, attr, fail, h, set } from './dom.js';
import { eventList } from './events.js';
import { bytes, date, percent, span } from './format.js';
import { logs } from './logs.js';
import { badge } from './overview.js';
import { spark, sparkSize } from './spark.js';
import { trend } from './trend.js';
import { RowWindow } from './window.js';

export function detail(main, state, name) {
  let known = null;
  const parts = { trend: trend(name), logs: logs(name), events: eventList(name) };
  const shown = badge();
  const why = h('p', { class: 'why', hidden: true });
  const target = () => [name, { instances: state.apps.get(name)?.instances.length ?? 1 }];
  const acts = Object.fromEntries(['reload', 'restart', 'scale', 'stop', 'start', 'flush'].map((a) => [a, button(a, target)]));
  const gone = h('p', { class: 'empty', hidden: true }, 'There is no such app any more. ', h('a', { href: '#/' }, 'All apps'));

  // Instances.
  const body = h('tbody');
  const box = h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Instances' }, h('table', { class: 'instances' }, h('caption', { class: 'hidden' }, 'Instances'),
    h('thead', null, h('tr', { 'aria-rowindex': 1 }, ['Id', 'State', 'CPU', 'Memory', 'PID', 'Restarts', 'Uptime'].map((t) => h('th', { scope: 'col' }, t)), h('th', { scope: 'col' }, h('span', { class: 'hidden' }, 'Actions')))), body));
  const rows = new RowWindow({ body, columns: 8, box, key: (i) => i.id, make: (i) => instanceRow(name, i) });

  const facts = h('dl', { class: 'facts' });
  const metrics = h('section', { class: 'card', hidden: true, 'aria-labelledby': 'metrics-h' }, h('h2', { id: 'metrics-h' }, 'Reported by the app'));
  const last = h('section', { class: 'card', hidden: true, 'aria-labelledby': 'last-h' }, h('h2', { id: 'last-h' }, 'Last exit'));
  main.replaceChildren(
    h('header', { class: 'head' }, h('a', { href: '#/', class: 'back', 'aria-label': 'All apps' }, '‹'), h('h1', null, name), shown.el, h('span', { class: 'grow' }),
      h('div', { class: 'buttons', role: 'group', 'aria-label': 'Actions' }, Object.values(acts))),
    why, gone,
    h('div', { class: 'page' },
      h('div', { class: 'wide' }, parts.trend.el,
        h('section', { class: 'card flush', 'aria-labelledby': 'inst-h' }, h('h2', { id: 'inst-h' }, 'Instances'), box), parts.logs.el),
      h('div', { class: 'side' }, last, h('section', { class: 'card', 'aria-labelledby': 'facts-h' }, h('h2', { id: 'facts-h' }, 'Configuration'), facts), metrics,
        environment(name), h('section', { class: 'card', 'aria-labelledby': 'ev-h' }, h('h2', { id: 'ev-h' }, 'Events'), parts.events.el))));

  const figures = reported(metrics);
  function show() {
    const a = state.apps.get(name);
    gone.hidden = Boolean(a) || !state.known;
    if (!a) return;
    const n = a.instances.length;
    shown.show(a.state, n === 1 ? a.state : `${a.online ? 'online' : a.state} ${a.online}/${n}`);
    why.hidden = !a.reason;
    set(why, a.reason);
    const running = a.state !== 'stopped' && a.state !== 'errored' || a.online > 0;
    acts.reload.hidden = acts.restart.hidden = acts.stop.hidden = !running;
    acts.start.hidden = running;
    acts.scale.hidden = Boolean(known?.self || known?.job);
    rows.show(a.instances);
    parts.logs.instances(a.instances);
    parts.trend.state(a, state.at);
  }

  const abort = new AbortController();
  get('/api/events', { app: name, limit: 200 }, abort.signal).then((list) => take(list), () => {}); // the stream says what is wrong
  function take(list) {
    const mine = list.filter((e) => e.name === name);
    parts.events.add(mine);
    parts.trend.events(mine);
  }

  show();
  return {
    params: { app: name },
    missing: () => {
      gone.hidden = false;
    },
    begun: parts.logs.begun,
    state: show,
    logs: parts.logs.add,
    events: (e) => take(e.events || []),
    recolour: parts.trend.recolour,
    app: (d) => {
      known = d;
      tellFacts(facts, d);
      tellExit(last, d);
      figures(d);
      show();
    },
    end: () => {
      abort.abort();
      rows.end();
      parts.trend.end();
    },
  };
}

function instanceRow(name, first) {
  let one = first;
  const state = badge();
  const cells = Object.fromEntries(['cpu', 'memory', 'pid', 'restarts', 'uptime'].map((c) => [c, h('td', { class: 'num' })]));
  const target = () => [name, { id: one.id }];
  const restart = button('restart', target, true), stop = button('stop', target, true), start = button('start', target, true);
  for (const b of [restart, stop, start]) b.setAttribute('aria-label', `${b.textContent} instance ${one.id}`);
  const el = h('tr', { class: 'instance' }, h('th', { scope: 'row', class: 'num' }, `#${one.id}`), h('td', null, state.el), Object.values(cells), h('td', { class: 'c-act' }, h('span', { class: 'acts' }, restart, stop, start)));
  return { el, update: (i) => {
    one = i;
    state.show(i.state, i.draining ? `${i.state}, draining` : i.state);
    attr(state.el, 'title', i.reason || i.exit || null);
    set(cells.cpu, percent(i.cpu));
    set(cells.memory, bytes(i.memory));
    set(cells.pid, i.pid || '–');
    set(cells.restarts, i.restarts || 0);
    set(cells.uptime, i.state === 'waiting' && i.next ? `next try in ${span(i.next - Date.now())}` : i.started ? span(Date.now() - i.started) : '–');
    const running = i.state !== 'stopped' && i.state !== 'errored';
    restart.hidden = stop.hidden = !running;
    start.hidden = running;
  } };
}

function tellFacts(dl, d) {
  const list = [];
  const add = (name, value, code) => value && list.push(h('dt', null, name), h('dd', null, code ? h('code', null, value) : value));
  add('Command', d.command.join(' '), true);
  add('Folder', d.cwd, true);
  add('App file', d.source, true);
  add('Mode', d.mode);
  add('Balance', [d.balance, d.mechanism && `(${d.mechanism})`].filter(Boolean).join(' '));
  add('Why', d.why);
  add('Namespace', d.namespace);
  add('Memory limit', d.max_memory && bytes(d.max_memory));
  add('Restarted at', d.cron, true);
  add('Runs at', d.job, true);
  add('Watched', d.watched && 'restarted when its files change');
  const notes = [...new Set(d.instances.flatMap((i) => i.notes || []))];
  for (const note of notes.slice(0, 5)) add('Note', note);
  for (const c of d.instances.flatMap((i) => (i.checks || []).map((check) => ({ ...check, id: i.id }))).filter((c) => !c.ok).slice(0, 5)) add(`Check #${c.id}`, `${c.name}: ${c.why || 'no answer yet'}`);
  const files = d.logs || [];
  for (const file of files.slice(0, 2)) add('Log', file, true);
  add('', files.length > 2 && `and ${files.length - 2} more like these`);
  dl.replaceChildren(...list);
}

function tellExit(section, d) {
  const with_ = d.instances.filter((i) => i.exit && i.stderr?.length).sort((a, b) => b.exit_at - a.exit_at)[0];
  section.hidden = !with_;
  if (!with_) return;
  section.replaceChildren(section.firstChild, h('p', null, `#${with_.id}: ${with_.exit}`, h('span', { class: 'muted' }, ` ${date(with_.exit_at)}`)), h('pre', null, with_.stderr.map(plain).join('\n')));
}

// reported shows what apps with @pm2/io tell of themselves, such as the latency of
// the event loop, with a small chart of what came since the page was opened.
function reported(section) {
  const rings = new Map();
  const list = h('dl', { class: 'metrics' });
  section.append(list);
  return (d) => {
    const values = new Map();
    for (const i of d.instances) for (const m of i.metrics || []) {
      const v = values.get(m.name) ?? { unit: m.unit || '', numbers: [], text: m.value };
      const number = Number.parseFloat(m.value);
      if (Number.isFinite(number)) v.numbers.push(number);
      values.set(m.name, v);
    }
    section.hidden = values.size === 0;
    for (const [name, v] of values) {
      let m = rings.get(name);
      if (!m) {
        m = { ring: new Array(60).fill(null), value: h('dd', { class: 'num' }), canvas: h('canvas', { class: 'spark', 'aria-hidden': 'true', width: sparkSize.width, height: sparkSize.height }) };
        rings.set(name, m);
        list.append(h('div', null, h('dt', null, name), m.canvas, m.value));
      }
      const mean = v.numbers.length ? v.numbers.reduce((a, b) => a + b, 0) / v.numbers.length : null;
      m.ring.push(mean);
      m.ring.shift();
      spark(m.canvas, m.ring, 'c4');
      set(m.value, mean === null ? v.text : `${Math.round(mean * 100) / 100} ${v.unit}`);
    }
  };
}

// environment is fetched when it is opened; secrets stay with the server until one is
// asked for by name.
function environment(app) {
  const list = h('table', { class: 'env' });
  const filter = h('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter variables', autocomplete: 'off', spellcheck: 'false' });
  const inside = h('div', { hidden: true }, filter, list);
  let asked = false;
  const fill = async () => {
    try {
      const reply = await get('/api/env', { app });
      set(summary, `Environment (${reply.env.length})`);
      list.replaceChildren(h('caption', { class: 'hidden' }, 'Environment'), h('thead', { class: 'hidden' }, h('tr', null, h('th', { scope: 'col' }, 'Name'), h('th', { scope: 'col' }, 'Value'))),
        h('tbody', null, [...reply.env].sort((a, b) => (b.own ? 1 : 0) - (a.own ? 1 : 0)).map((v) => {
          const value = h('td', null, v.masked ? h('span', { class: 'muted', 'aria-label': 'masked' }, v.value) : v.value);
          if (v.masked) value.append(' ', h('button', { type: 'button', class: 'small', 'aria-label': `Show ${v.name}`, on: { click: () => reveal(app, v.name, value) } }, 'Show'));
          return h('tr', { 'data-own': v.own }, h('th', { scope: 'row' }, v.name), value);
        })));
      for (const file of reply.files || []) list.append(h('tfoot', null, h('tr', null, h('td', { colspan: 2, class: 'muted' }, `and what ${file} holds at a start`))));
    } catch (error) {
      if (error.status !== 401) fail(`Environment: ${error.message}`);
    }
  };
  filter.addEventListener('input', () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of list.tBodies[0]?.rows ?? []) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  const summary = h('summary', null, 'Environment');
  return h('details', { class: 'card', on: { toggle: (e) => {
    inside.hidden = !e.target.open;
    if (e.target.open && !asked) {
      asked = true;
      fill();
    }
  } } }, summary, inside);
}

async function reveal(app, name, cell) {
  if (!(await ask({ title: `Show ${name}?`, text: 'The value is a secret: whoever sees this screen sees it. That it was shown is noted in the dashboard’s log.', yes: 'Show' }))) return;
  try {
    const { value } = await post('/api/env/reveal', { app, name });
    cell.replaceChildren(h('span', { class: 'secret' }, value));
  } catch (error) {
    if (error.status !== 401) fail(`Show ${name}: ${error.message}`);
  }
}

