// events: EventEmitter. A function, not a class: old packages call it.
'use strict';
(function (module) {
const all = Symbol('listeners');
function EventEmitter() { this[all] ??= new Map(); }
const add = (e, name, l, first) => {
  const m = (e[all] ??= new Map()), list = m.get(name) ?? [];
  m.set(name, first ? [l, ...list] : [...list, l]);
  return e;
};
Object.assign(EventEmitter.prototype, {
  on(name, f) { return add(this, name, { f }); },
  once(name, f) { return add(this, name, { f, once: true }); },
  prependListener(name, f) { return add(this, name, { f }, true); },
  prependOnceListener(name, f) { return add(this, name, { f, once: true }, true); },
  off(name, f) {
    const list = this[all]?.get(name) ?? [], i = list.findLastIndex((l) => l.f === f);
    if (i >= 0) this[all].set(name, list.toSpliced(i, 1));
    return this;
  },
  emit(name, ...args) {
    const list = this[all]?.get(name) ?? [];
    if (list.length === 0 && name === 'error') throw args[0] instanceof Error ? args[0] : new Error(`Unhandled error. (${args[0]})`);
    for (const l of list) {
      if (l.once) this.off(name, l.f);
      l.f.apply(this, args);
    }
    return list.length > 0;
  },
  removeAllListeners(name) {
    if (name === undefined) this[all]?.clear();
    else this[all]?.delete(name);
    return this;
  },
  listeners(name) { return (this[all]?.get(name) ?? []).map((l) => l.f); },
  listenerCount(name) { return (this[all]?.get(name) ?? []).length; },
  eventNames() { return [...(this[all]?.keys() ?? [])].filter((k) => this.listenerCount(k)); },
  setMaxListeners() { return this; },
  getMaxListeners() { return 10; },
});
EventEmitter.prototype.addListener = EventEmitter.prototype.on;
EventEmitter.prototype.removeListener = EventEmitter.prototype.off;
EventEmitter.EventEmitter = EventEmitter;
EventEmitter.defaultMaxListeners = 10;
EventEmitter.once = (e, name) => new Promise((done, failed) => { e.once(name, (...a) => done(a)); if (name !== 'error') e.once('error', failed); });
module.exports = EventEmitter;
})
