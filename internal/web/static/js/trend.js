// The charts of one app: history first, then what comes live; restarts are marks on
// the time axis.

import { get } from './api.js';
import { Chart, palette } from './chart.js';
import { attr, h, set } from './dom.js';
import { bytes, percent, rate } from './format.js';

const ranges = [['10m', '10 min', 600], ['1h', '1 h', 3600], ['24h', '24 h', 86400], ['30d', '30 d', 30 * 86400]];
const parts = 16; // instances that have a line each

export function trend(name) {
  const cpu = new Chart('CPU', percent), memory = new Chart('Memory', bytes, true), traffic = new Chart('Connections/s', rate);
  const charts = [cpu, memory, traffic];
  const note = h('p', { class: 'muted note', hidden: true });
  const pick = h('div', { class: 'segments', role: 'group', 'aria-label': 'Time range' }, ranges.map(([id, text]) =>
    h('button', { type: 'button', 'data-range': id, 'aria-pressed': String(id === '10m'), on: { click: () => choose(id) } }, text)));
  const el = h('section', { class: 'trend', 'aria-label': 'Charts' }, h('header', null, h('h2', null, 'Load'), pick), note, h('div', { class: 'charts' }, charts.map((c) => c.el)));

  let range = ranges[0], abort, timer;
  // Columns by name: "cpu", "cpu 3" for instance 3, ...; all as long as times.
  let times = [], columns = new Map(), ids = [], marks = [], events = [], restarts = [];

  function choose(id) {
    range = ranges.find((r) => r[0] === id);
    for (const b of pick.children) attr(b, 'aria-pressed', b.dataset.range === id);
    load();
  }

  async function load() {
    abort?.abort();
    abort = new AbortController();
    clearTimeout(timer);
    try {
      const c = await get('/api/history', { app: name, range: range[0] }, abort.signal);
      note.hidden = !c.missing;
      set(note, c.missing ? `No history: ${c.missing}. The charts begin now.` : '');
      take(c);
    } catch (error) {
      if (error.name === 'AbortError' || error.status === 401) return;
      note.hidden = false;
      set(note, `No history: ${error.message}`);
    }
    if (range[0] !== '10m') timer = setTimeout(load, 60_000);
  }

  function take(c) {
    const newer = times.at(-1) ?? 0, live = range[0] === '10m';
    const old = { times, columns };
    const mine = c.apps?.[name] ?? {};
    // From when something is known on: an app that is new has no empty hours before it.
    const first = (mine.cpu ?? []).findIndex((v) => v !== null);
    const cut = Math.max(0, Math.min(first < 0 ? 0 : first, (c.points || 0) - 30));
    times = Array.from({ length: Math.max(0, (c.points || 0) - cut) }, (_, i) => Math.round((c.start + (cut + i) * c.step) / 1000));
    columns = new Map();
    for (const [series, values] of Object.entries(mine)) if (series !== 'restarts') columns.set(series, values.slice(cut));
    for (const [id, of] of Object.entries(c.instances ?? {})) for (const [series, values] of Object.entries(of)) columns.set(`${series} ${id}`, values.slice(cut));
    restarts = (mine.restarts ?? []).slice(cut).flatMap((n, i) => (n ? [{ at: times[i], bad: true }] : []));
    if (live && newer) { // what has been seen since goes on
      const from = times.length ? old.times.findIndex((t) => t > times.at(-1)) : 0;
      if (from >= 0) {
        for (const key of new Set([...columns.keys(), ...old.columns.keys()])) {
          const col = columns.get(key) ?? new Array(times.length).fill(null);
          columns.set(key, col.concat(old.columns.get(key)?.slice(from) ?? new Array(old.times.length - from).fill(null)));
        }
        times = times.concat(old.times.slice(from));
      }
    }
    show();
  }

  const put = (key, value) => {
    let c = columns.get(key);
    if (!c) columns.set(key, c = new Array(times.length - 1).fill(null));
    while (c.length < times.length - 1) c.push(null);
    c.push(value);
  };

  function state(a, at) {
    ids = a.instances.length > 1 && a.instances.length <= parts ? a.instances.map((i) => i.id) : [];
    now = a;
    if (range[0] === '10m' && Math.floor(at / 1000) > (times.at(-1) ?? 0)) {
      times.push(Math.floor(at / 1000));
      put('cpu', a.cpu);
      put('memory', a.memory);
      put('accepted', a.accepted);
      put('queue', a.queue);
      for (const i of a.instances) if (ids.length) {
        put(`cpu ${i.id}`, i.cpu);
        put(`memory ${i.id}`, i.memory);
      }
      for (const c of columns.values()) while (c.length < times.length) c.push(null);
      const over = times.findIndex((t) => t >= times.at(-1) - range[2]);
      if (over > 60) {
        times.splice(0, over);
        for (const c of columns.values()) c.splice(0, over);
      }
    }
    show();
  }
  let now = null, described = 0;

  function show() {
    const first = (times.at(-1) ?? 0) - range[2];
    // A restart that an event tells of is not drawn twice.
    marks = events.concat(restarts.filter((r) => !events.some((e) => Math.abs(e.at - r.at) < 90)));
    const seen = marks.filter((m) => m.at >= first);
    const column = (key) => columns.get(key) ?? new Array(times.length).fill(null);
    const each = (series) => (ids.length ? ids.map((id) => column(`${series} ${id}`)) : []);
    // Equal lines hide each other, so instances are drawn only where they add something.
    const lines = (series, shade) => [{ name: series, colour: shade, fill: true }, ...ids.map((id, i) => ({ name: `#${id}`, colour: palette[(i + 1) % palette.length] }))];
    cpu.lines(lines('CPU', 'c1'));
    memory.lines(lines('Memory', 'c2'));
    traffic.lines([{ name: 'accepted', colour: 'c3', fill: true }, { name: 'waiting', colour: 'c4' }]);
    cpu.show([times, column('cpu'), ...each('cpu')], seen, now?.cpu);
    memory.show([times, column('memory'), ...each('memory')], seen, now?.memory);
    traffic.show([times, column('accepted'), column('queue')], seen, now?.accepted);
    if (Date.now() - described > 10_000) {
      described = Date.now();
      for (const c of charts) c.describe();
    }
  }

  load();
  return {
    el,
    state,
    events: (list) => {
      for (const e of list) {
        if (e.type === 'exit' && !e.exit?.wanted) events.push({ at: Date.parse(e.at) / 1000, bad: true });
        else if (e.type === 'restart' || e.type === 'reload') events.push({ at: Date.parse(e.at) / 1000, bad: false });
      }
      if (events.length > 1000) events.splice(0, 500);
    },
    recolour: show,
    end: () => {
      abort?.abort();
      clearTimeout(timer);
      for (const c of charts) c.end();
    },
  };
}
