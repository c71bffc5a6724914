// events: EventEmitter.
(function (module) {
'use strict';
class EventEmitter {
  #all = new Map();
  on(name, f) { (this.#all.get(name) ?? this.#all.set(name, []).get(name)).push({ f }); return this; }
  once(name, f) { (this.#all.get(name) ?? this.#all.set(name, []).get(name)).push({ f, once: true }); return this; }
  off(name, f) {
    const list = this.#all.get(name) ?? [], i = list.findLastIndex((l) => l.f === f);
    if (i >= 0) this.#all.set(name, list.toSpliced(i, 1));
    return this;
  }
  emit(name, ...args) {
    const list = this.#all.get(name) ?? [];
    if (list.length === 0 && name === 'error') throw args[0] instanceof Error ? args[0] : new Error(`Unhandled error. (${args[0]})`);
    for (const l of [...list]) {
      if (l.once) this.off(name, l.f);
      l.f.apply(this, args);
    }
    return list.length > 0;
  }
  addListener(name, f) { return this.on(name, f); }
  removeListener(name, f) { return this.off(name, f); }
  removeAllListeners(name) { if (name === undefined) this.#all.clear(); else this.#all.delete(name); return this; }
  listeners(name) { return (this.#all.get(name) ?? []).map((l) => l.f); }
  listenerCount(name) { return this.listeners(name).length; }
  eventNames() { return [...this.#all.keys()].filter((k) => this.listenerCount(k)); }
  setMaxListeners() { return this; }
  getMaxListeners() { return 10; }
}
EventEmitter.EventEmitter = EventEmitter;
EventEmitter.defaultMaxListeners = 10;
EventEmitter.once = (e, name) => new Promise((done, failed) => { e.once(name, (...a) => done(a)); if (name !== 'error') e.once('error', failed); });
module.exports = EventEmitter;
})
