// worker_threads: isolates that talk by structured clone.
'use strict';
(function (module, exports, { host, builtin, fault, bridge, info, loop }) {
const EventEmitter = builtin('events');
const { serialize, deserialize, detach, DataCloneError, unclonable } = builtin('clone');

const ports = new Map(); // by number, those that are open
const workers = new Map(); // by threadId, those that run
const number = Symbol('port');

// pack writes v; the ports of the list go with it.
function pack(v, list) {
  const moved = [], hosts = new Map();
  if (list !== undefined && list !== null && !Array.isArray(list)) list = list.transfer ?? [];
  for (const x of new Set(list ?? [])) {
    if (x instanceof MessagePort) {
      if (x[number] === 0) throw new DataCloneError('MessagePort in transfer list is already detached');
      hosts.set(x, moved.length);
      moved.push(x);
    } else if (!(x instanceof ArrayBuffer)) throw new DataCloneError('Value not transferable: neither an ArrayBuffer nor a MessagePort');
    else if (x.detached) throw new DataCloneError('An ArrayBuffer is detached and could not be cloned.');
  }
  return { bytes: serialize(v, hosts), moved, list: list ?? [] };
}
// send hands a message to Go, and what is transferred is gone afterwards.
function send(packed, op, ...args) {
  bridge.bytes = packed.bytes;
  const r = host(op, packed.moved.map((p) => p[number]).join(' '), ...args);
  bridge.bytes = undefined;
  for (const p of packed.moved) p[retire]();
  detach(packed.list);
  return r;
}
// unpack reads the message that is on the bridge.
function unpack(moved) {
  const bytes = bridge.bytes;
  bridge.bytes = undefined;
  const list = moved === '' ? [] : moved.split(' ').map((n) => new MessagePort(construct, Number(n)));
  return deserialize(bytes, list);
}

const construct = Symbol('construct'), retire = Symbol('retire'), arrive = Symbol('arrive'), held = Symbol('held'), started = Symbol('started'),
  wrapped = Symbol('wrapped'), handler = Symbol('handler'), wanted = Symbol('wanted'),
  listening = Symbol('listening'), hold = Symbol('hold');

class MessageEvent {
  constructor(type, init = {}) { this.type = type; this.data = init.data ?? null; this.ports = init.ports ?? []; this.target = init.target ?? null; }
}
// target has what ports are as an EventTarget as well.
class Target extends EventEmitter {
  constructor() { super(); this[wrapped] = new Map(); this[handler] = {}; }
  addEventListener(name, f, options) {
    if (f === null || f === undefined || this[wrapped].has(f)) return;
    const call = (data) => {
      if (options?.once) this.removeEventListener(name, f);
      const e = new MessageEvent(name, { data, target: this });
      if (typeof f === 'function') f.call(this, e); else f.handleEvent(e);
    };
    this[wrapped].set(f, call);
    this.on(name, call);
  }
  removeEventListener(name, f) {
    const call = this[wrapped].get(f);
    if (call) { this[wrapped].delete(f); this.off(name, call); }
  }
  dispatchEvent(e) { this.emit(e.type, e.data); return true; }
}
for (const name of ['message', 'messageerror', 'close']) {
  Object.defineProperty(Target.prototype, `on${name}`, {
    configurable: true,
    get() { return this[handler][name] ?? null; },
    set(f) {
      if (this[handler][name]) this.removeEventListener(name, this[handler][name]);
      this[handler][name] = typeof f === 'function' ? f : undefined;
      if (this[handler][name]) this.addEventListener(name, f);
    },
  });
}

class MessagePort extends Target {
  constructor(key, n) {
    if (key !== construct) throw fault('ERR_CONSTRUCT_CALL_INVALID', 'Constructor cannot be called');
    super();
    this[number] = n;
    this[held] = false;
    this[started] = false;
    this[wanted] = true; // no unref() so far
    ports.set(n, this);
  }
  get [unclonable]() {
    throw fault('ERR_MISSING_TRANSFERABLE_IN_TRANSFER_LIST', 'Object that needs transfer was found in message but not listed in transferList');
  }
  postMessage(v, list) {
    const packed = pack(v, list);
    if (packed.moved.includes(this)) throw new DataCloneError('Transfer list contains source port');
    if (this[number] !== 0) send(packed, 'post', this[number]);
  }
  start() {
    if (this[started] || this[number] === 0) return;
    this[started] = true;
    host('start', this[number]);
  }
  close() {
    const n = this[number];
    if (n === 0) return;
    this[retire]();
    host('close', n);
    loop.soon(() => this.emit('close'));
  }
  ref() { this[wanted] = true; this[hold](this.listenerCount('message') > 0 || this[started]); }
  unref() { this[wanted] = false; this[hold](false); }
  hasRef() { return this[held]; }
  on(name, f) { super.on(name, f); return this[listening](name); }
  once(name, f) { super.once(name, f); return this[listening](name); }
  off(name, f) {
    super.off(name, f);
    if (name === 'message' && this.listenerCount('message') === 0) this[hold](false);
    return this;
  }
  [listening](name) {
    if (name === 'message' && this[number] !== 0) {
      this[hold](this[wanted]);
      this.start();
    }
    return this;
  }
  [hold](on) {
    on = on && this[number] !== 0;
    if (on !== this[held]) { this[held] = on; loop.hold(on ? 1 : -1); }
  }
  [retire]() { // closed, or gone to another isolate
    this[hold](false);
    ports.delete(this[number]);
    this[number] = 0;
  }
  [arrive](moved) {
    let v;
    try { v = unpack(moved); } catch (e) { this.emit('messageerror', e); return; }
    this.emit('message', v);
  }
}
MessagePort.prototype.addListener = MessagePort.prototype.on;
MessagePort.prototype.removeListener = MessagePort.prototype.off;

class MessageChannel {
  constructor() {
    const [a, b] = host('channel').split(' ').map(Number);
    this.port1 = new MessagePort(construct, a);
    this.port2 = new MessagePort(construct, b);
  }
}

class BroadcastChannel extends MessagePort {
  constructor(name) {
    if (arguments.length === 0) throw fault('ERR_MISSING_ARGS', 'The "name" argument must be specified');
    super(construct, host('broadcast', `${name}`));
    this.name = `${name}`;
    this.start();
    this[hold](true);
  }
  postMessage(v) {
    if (this[number] === 0) throw Object.assign(new Error('BroadcastChannel is closed.'), { name: 'InvalidStateError' });
    send(pack(v), 'post', this[number]);
  }
  off(name, f) { EventEmitter.prototype.off.call(this, name, f); return this; }
}

function receiveMessageOnPort(port) {
  if (!(port instanceof MessagePort)) throw fault('ERR_INVALID_ARG_TYPE', 'The "port" argument must be a MessagePort instance');
  if (port[number] === 0) return undefined;
  const moved = host('take', port[number]);
  return moved === null ? undefined : { message: unpack(moved) };
}

// --- workers ---

let startup;
if (loop.startup) {
  bridge.bytes = loop.startup.bytes;
  startup = unpack(loop.startup.moved);
  loop.startup = undefined;
}
const environment = new Map(startup?.environment ?? []);
class Worker extends EventEmitter {
  #id; #port; #held = true; #exit;
  constructor(file, options = {}) {
    super();
    let text = null;
    if (file instanceof builtin('url').URL) {
      if (file.protocol !== 'file:') throw fault('ERR_WORKER_PATH', `new Worker: ${file.protocol} URLs are not supported: pass the text with { eval: true }`);
      file = builtin('url').fileURLToPath(file);
    }
    if (typeof file !== 'string') throw fault('ERR_INVALID_ARG_TYPE', 'The "filename" argument must be of type string or an instance of URL.');
    if (options.eval) { text = file; file = ''; }
    else if (!/^(\/|\.\.?\/)/.test(file)) {
      throw fault('ERR_WORKER_PATH', `The worker script or module filename must be an absolute path or a relative path starting with './' or '../'. Received "${file}"`);
    }
    const limit = Number(options.resourceLimits?.maxOldGenerationSizeMb ?? 0);
    const env = options.env === undefined || options.env === SHARE_ENV || options.env === null ? process.env : options.env;
    const packed = pack({ workerData: options.workerData, environment: [...environment] }, options.transferList);
    const r = send(packed, 'spawn', JSON.stringify({
      file, text, name: `${options.name ?? ''}`, memoryMb: limit > 0 ? limit : 0,
      argv: (options.argv ?? []).map(String), env: Object.entries(env).map(([k, v]) => `${k}=${v}`),
    }));
    const [id, port] = r.split(' ').map(Number);
    this.#id = id;
    this.#port = new MessagePort(construct, port);
    this.#port.on('message', (v) => { this.emit('message', v); });
    this.#port.on('messageerror', (e) => { this.emit('messageerror', e); });
    this.#port.unref();
    this.#exit = new Promise((done) => { this.once('exit', done); });
    workers.set(id, this);
    loop.hold(1);
  }
  get threadId() { return this.#id; }
  get stdin() { return null; }
  get stdout() { return null; }
  get stderr() { return null; }
  get resourceLimits() { return {}; }
  postMessage(v, list) { this.#port.postMessage(v, list); }
  ref() { if (!this.#held && workers.has(this.#id)) { this.#held = true; loop.hold(1); } }
  unref() { if (this.#held && workers.has(this.#id)) { this.#held = false; loop.hold(-1); } }
  terminate() {
    if (!workers.has(this.#id)) return Promise.resolve();
    this.ref();
    host('terminate', this.#id);
    return this.#exit;
  }
  async [Symbol.asyncDispose]() { await this.terminate(); }
  static [arrive](id, kind, code) {
    const w = workers.get(id);
    if (!w) return;
    switch (kind) {
      case 'online': w.emit('online'); return;
      case 'error': {
        let e;
        try { e = unpack(''); } catch { e = new Error('a worker failed, and its error cannot be shown'); }
        if (code && e instanceof Error) e.code = code;
        w.emit('error', e);
        return;
      }
      case 'exit':
        w.unref();
        workers.delete(id);
        w.#port.close();
        w.#id = -1;
        w.emit('exit', code);
    }
  }
}
const SHARE_ENV = Symbol.for('nodejs.worker_threads.SHARE_ENV');

loop.onMessage = (n, moved) => {
  const p = ports.get(n);
  if (p) p[arrive](moved); else bridge.bytes = undefined;
};
loop.onClosed = (n) => { const p = ports.get(n); if (p) { p[retire](); p.emit('close'); } };
loop.onWorker = (id, kind, code) => { Worker[arrive](id, kind, code); };

module.exports = {
  isMainThread: info.main, threadId: info.thread, resourceLimits: info.main ? {} : { maxOldGenerationSizeMb: info.memory / 1048576 },
  parentPort: info.port ? new MessagePort(construct, info.port) : null,
  workerData: startup ? startup.workerData : null,
  threadName: info.name,
  Worker, MessageChannel, MessagePort, BroadcastChannel, receiveMessageOnPort, SHARE_ENV,
  markAsUntransferable() {}, isMarkedAsUntransferable: () => false,
  setEnvironmentData(k, v) { if (v === undefined) environment.delete(k); else environment.set(k, v); },
  getEnvironmentData: (k) => environment.get(k),
  MessageEvent,
};
})
