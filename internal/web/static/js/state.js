// What is known of all instances, kept up to date by the stream.

export const points = 60;
export const bucket = 3000; // milliseconds of each point of a small chart

// Ring is a small chart's values: the mean, or the highest, of each bucket.
class Ring {
  constructor(highest) {
    this.values = new Array(points).fill(null);
    this.highest = highest;
    this.n = 0;
  }

  shift(n) {
    if (n <= 0) return;
    this.n = 0;
    this.values = this.values.slice(Math.min(n, points)).concat(new Array(Math.min(n, points)).fill(null));
  }

  add(value) {
    const last = points - 1, before = this.values[last];
    if (value === null || value === undefined) return;
    if (before === null) [this.values[last], this.n] = [value, 1];
    else if (this.highest) this.values[last] = Math.max(before, value);
    else this.values[last] = (before * this.n + value) / ++this.n;
  }

  // fill puts older values before those that have been seen live.
  fill(older) {
    const n = Math.min(older.length, points);
    for (let i = 1; i <= n; i++) {
      const at = points - i, value = older[older.length - i];
      if (this.values[at] === null && value !== null) this.values[at] = value;
    }
  }
}

const newRings = () => ({ cpu: new Ring(false), memory: new Ring(true), accepted: new Ring(false), queue: new Ring(true) });

// worst is the order in which an app's state is that of its instances.
const worst = ['errored', 'waiting', 'stopping', 'launching', 'stopped', 'online'];

export class State {
  constructor() {
    this.instances = new Map();
    this.apps = new Map();
    this.at = 0;
    this.down = '';
    this.known = false;
    this.history = null;
    this.slot = 0;
  }

  // apply takes what the server tells.
  apply(e) {
    this.at = e.at;
    this.down = e.down || '';
    if (e.down) return;
    if (e.full) this.instances.clear();
    for (const id of e.gone || []) this.instances.delete(id);
    for (const row of e.rows || []) {
      const before = this.instances.get(row.id);
      this.instances.set(row.id, { cpu: before?.cpu ?? 0, memory: before?.memory ?? 0, ...row });
    }
    for (const [id, cpu, memory] of e.figures || []) {
      const one = this.instances.get(id);
      if (one) [one.cpu, one.memory] = [cpu / 10, memory * 1024];
    }
    this.gather(e.traffic);
    this.known = true;
  }

  gather(traffic) {
    const slot = Math.floor(this.at / bucket);
    const moved = this.slot ? slot - this.slot : 0;
    this.slot = slot;
    const apps = new Map();
    for (const one of this.instances.values()) {
      let a = apps.get(one.name);
      if (!a) {
        a = { name: one.name, instances: [], cpu: 0, memory: 0, restarts: 0, online: 0, state: 'online', started: 0, ports: new Set(), reason: '', rings: this.apps.get(one.name)?.rings };
        apps.set(one.name, a);
      }
      a.instances.push(one);
      a.cpu += one.cpu;
      a.memory += one.memory;
      a.restarts += one.restarts || 0;
      a.online += one.state === 'online' ? 1 : 0;
      if (worst.indexOf(one.state) < worst.indexOf(a.state)) a.state = one.state;
      if (one.started && (!a.started || one.started < a.started)) a.started = one.started;
      if (one.ports) for (const p of one.ports.split(' ')) a.ports.add(p);
      a.reason ||= one.reason || (one.state !== 'online' && one.state !== 'stopped' ? one.exit : '') || '';
      a.mode = one.mode;
    }
    for (const a of apps.values()) {
      a.instances.sort((x, y) => x.id - y.id);
      const t = traffic?.[a.name];
      [a.queue, a.accepted] = t ? [t[0], t[1] < 0 ? null : t[1] / 10] : [null, null];
      const fresh = !a.rings;
      a.rings ||= newRings();
      for (const ring of Object.values(a.rings)) ring.shift(moved);
      if (fresh) this.fill(a);
      a.rings.cpu.add(a.cpu);
      a.rings.memory.add(a.memory);
      a.rings.accepted.add(a.accepted);
      a.rings.queue.add(a.queue);
    }
    this.apps = apps;
  }

  // older takes the figures of before the page was opened.
  older(chart) {
    if (chart.missing || !chart.apps) return;
    this.history = chart;
    for (const a of this.apps.values()) this.fill(a);
  }

  fill(a) {
    const past = this.history?.apps[a.name];
    for (const [series, ring] of Object.entries(a.rings)) if (past?.[series]) ring.fill(past[series]);
  }

  totals() {
    const t = { apps: this.apps.size, instances: this.instances.size, online: 0, cpu: 0, memory: 0, restarts: 0, accepted: null, bad: 0 };
    for (const a of this.apps.values()) {
      t.online += a.online;
      t.cpu += a.cpu;
      t.memory += a.memory;
      t.restarts += a.restarts;
      if (a.accepted !== null) t.accepted = (t.accepted ?? 0) + a.accepted;
      if (a.state === 'errored' || a.state === 'waiting') t.bad++;
    }
    return t;
  }
}
