// The core of what an isolate takes for Node: modules, timers, process, console, and
// the turns of its event loop, which Go calls.
'use strict';
(() => {
const native = globalThis.__paceline_host, bridge = globalThis.__paceline_bridge;

// host calls Go. What it throws has its code before its text: "CODE text".
function host(op, ...args) {
  try {
    return native(op, ...args);
  } catch (e) {
    const [, name, text] = /^([A-Z_]+): ([^]*)$/.exec(e?.message) ?? [];
    if (name === undefined) throw e;
    throw fault(name, text, name === 'MODULE_NOT_FOUND' ? Error : TypeError);
  }
}
function fault(name, message, Type = TypeError) {
  const e = new Type(message);
  Object.defineProperty(e, 'code', { value: name, enumerable: true, configurable: true, writable: true });
  return e;
}
// result is what Go has left on the bridge.
function result(ok) {
  const v = bridge.value;
  bridge.value = undefined;
  if (!ok) throw v;
  return v;
}
const compile = (file, text) => result(host('compile', file, text));
const info = JSON.parse(host('info'));

// --- the event loop ---

let count = 0, alive = 0, soon = [];
const timers = []; // by time, then age
const now = () => host('now');
const loop = {
  hold(n) { alive += n; },
  soon(f) { soon.push({ f, args: [] }); alive++; },
  onMessage() {}, onClosed() {}, onWorker() {},
  startup: undefined,
};
const place = (t) => {
  let low = 0, high = timers.length;
  while (low < high) {
    const middle = (low + high) >>> 1, x = timers[middle];
    if (x.at < t.at || (x.at === t.at && x.age < t.age)) low = middle + 1; else high = middle;
  }
  timers.splice(low, 0, t);
};
class Timeout {
  constructor(f, ms, args, every) {
    if (typeof f !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'The "callback" argument must be of type function.');
    ms = Number(ms);
    this.ms = ms >= 1 && ms < 2 ** 31 ? ms : 1;
    Object.assign(this, { f, args, every, id: ++count, age: count, at: now() + this.ms, held: true, on: true });
    alive++;
    place(this);
  }
  ref() { if (this.on && !this.held) alive++; this.held = true; return this; }
  unref() { if (this.on && this.held) alive--; this.held = false; return this; }
  hasRef() { return this.held; }
  refresh() {
    if (!this.on) return this;
    const i = timers.indexOf(this);
    if (i >= 0) timers.splice(i, 1);
    this.at = now() + this.ms;
    place(this);
    return this;
  }
  close() { clear(this); return this; }
  [Symbol.toPrimitive]() { return this.id; }
  [Symbol.dispose ?? Symbol('dispose')]() { clear(this); }
}
function clear(t) {
  if (typeof t !== 'object') { const id = Number(t); t = timers.find((x) => x.id === id); }
  if (!(t instanceof Timeout) || !t.on) return;
  t.on = false;
  if (t.held) alive--;
  const i = timers.indexOf(t);
  if (i >= 0) timers.splice(i, 1);
}
class Immediate {
  constructor(f, args) {
    if (typeof f !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'The "callback" argument must be of type function.');
    Object.assign(this, { f, args });
    alive++;
    soon.push(this);
  }
  ref() { return this; }
  unref() { return this; }
  hasRef() { return !this.gone; }
}
// tick runs one callback and returns how many milliseconds the loop may wait for a
// message: 0 when there is more to do, -1 without a limit, -2 when nothing is left
// that could happen. In a round come the timers that are due at its beginning, then
// what was set for now, as in Node.
let horizon = -1, checking = []; // the round's beginning, and what was set for now
function tick() {
  if (checking.length === 0) {
    const at = now(), t = timers[0];
    if (horizon < 0) horizon = at;
    if (t && t.at <= horizon) {
      timers.shift();
      if (t.every) { t.at = at + t.ms; t.age = ++count; place(t); } else { t.on = false; if (t.held) alive--; }
      t.f(...t.args);
      return 0;
    }
    horizon = -1;
    checking = soon;
    soon = [];
  }
  const next = checking.shift();
  if (next) {
    if (!next.gone) { alive--; next.gone = true; next.f(...next.args); }
    return 0;
  }
  if (alive <= 0) return -2;
  return timers.length ? Math.max(0.01, timers[0].at - now()) : -1;
}

// Promises that are rejected and that nothing has handled when the turn is over.
const rejections = new Map();
bridge.rejected = (promise, reason, handled) => { if (handled) rejections.delete(promise); else rejections.set(promise, reason); };
// settle ends a turn, once its promises have run; true if there is more for them.
function settle() {
  if (rejections.size === 0) return false;
  const list = [...rejections];
  rejections.clear();
  for (const [promise, reason] of list) {
    if (process.listenerCount('unhandledRejection') > 0) { process.emit('unhandledRejection', reason, promise); continue; }
    if (reason instanceof Error) throw reason;
    throw fault('ERR_UNHANDLED_REJECTION', 'This error originated either by throwing inside of an async function without a catch block, or by rejecting a ' +
      `promise which was not handled with .catch(). The promise rejected with the reason "${inspect(reason)}".`, Error);
  }
  return true;
}
// guard calls f; what it throws goes to a handler of the program's, or is the end.
function guard(f, ...args) {
  try {
    return f(...args);
  } catch (e) {
    try {
      if (process.listenerCount('uncaughtException') > 0) { process.emit('uncaughtException', e, 'uncaughtException'); return 0; }
    } catch (again) { e = again; }
    fatal(e);
    return -2;
  }
}
function fatal(e) {
  let name = 'Error', message = '', stack = '', shown = true;
  try {
    if (e instanceof Error) { name = String(e.name); message = String(e.message); stack = String(e.stack ?? ''); }
    else message = `Uncaught ${inspect(e)}`;
  } catch { shown = false; message = 'it throws a value that cannot be shown'; }
  let bytes;
  try { bytes = builtin('clone').serialize(shown ? e : new Error(message)); } catch {
    const copy = new Error(message);
    try { copy.name = name; copy.stack = stack; } catch { /* as it is */ }
    bytes = builtin('clone').serialize(copy);
  }
  bridge.bytes = bytes;
  let coded = '';
  try { if (typeof e?.code === 'string') coded = e.code; } catch { /* a getter */ }
  host('fatal', name, message, stack, coded);
}
const inspect = (v) => { try { return builtin('util').inspect(v); } catch { return 'a value that cannot be shown'; } };

// dispatch is what Go calls: one turn each.
function dispatch(what, a, b, c) {
  switch (what) {
    case 'main': return guard(main, a, b);
    case 'tick': return guard(tick);
    case 'settle': return guard(settle);
    case 'message': return guard(loop.onMessage, a, b);
    case 'closed': return guard(loop.onClosed, a);
    case 'worker': return guard(loop.onWorker, a, b, c);
    case 'exit': return guard(() => { process.exitCode ??= a; process.emit('exit', process.exitCode); return Number(process.exitCode) || 0; });
  }
  return -2;
}

// --- builtin modules ---

const files = info.modules;
const derived = {
  'path/posix': () => builtin('path'),
  'util/types': () => builtin('util').types,
  'assert/strict': () => builtin('assert'),
  process: () => process,
  console: () => console,
  timers: () => ({ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate, promises: builtin('timers/promises') }),
  'timers/promises': () => ({
    setTimeout: (ms, value) => new Promise((done) => setTimeout(done, ms, value)),
    setImmediate: (value) => new Promise((done) => setImmediate(done, value)),
  }),
  perf_hooks: () => ({ performance }),
  module: () => ({ createRequire: (from) => requireFor(String(from).startsWith('file:') ? builtin('url').fileURLToPath(from) : String(from)), builtinModules: names }),
  os: () => ({ EOL: '\n', availableParallelism: () => info.cpus, cpus: () => Array.from({ length: info.cpus }, () => ({ model: 'unknown', speed: 0 })), platform: () => info.platform, arch: () => info.arch }),
  v8: () => ({
    serialize: (v) => builtin('buffer').Buffer.from(builtin('clone').serialize(v)),
    deserialize: (b) => builtin('clone').deserialize(b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength)),
  }),
};
const names = [...files, ...Object.keys(derived)].filter((s) => s !== 'clone').sort();
const built = Object.create(null);
function builtin(name) {
  if (name in built) return built[name];
  if (Object.hasOwn(derived, name)) return built[name] = derived[name]();
  const m = { exports: {} };
  built[name] = m.exports;
  result(host('builtin', name))(m, m.exports, { host, builtin, info, fault, compile, bridge, loop });
  return built[name] = m.exports;
}
const isBuiltin = (name) => names.includes(name);

// --- CommonJS ---

const cache = Object.create(null);
let mainModule;
const dirname = (file) => file.slice(0, file.lastIndexOf('/')) || '/';
function requireFor(from) {
  const find = (spec) => {
    if (typeof spec !== 'string' || spec === '') throw fault('ERR_INVALID_ARG_TYPE', 'The "id" argument must be a string that is not empty.');
    const name = spec.replace(/^node:/, '');
    return isBuiltin(name) ? `node:${name}` : host('resolve', from, spec);
  };
  const require = (spec) => load(find(spec));
  require.resolve = find;
  require.cache = cache;
  require.main = mainModule;
  return require;
}
function load(file) {
  if (file.startsWith('node:')) return builtin(file.slice(5));
  if (file in cache) return cache[file].exports;
  const mod = { id: file, filename: file, path: dirname(file), exports: {}, loaded: false, children: [], paths: [] };
  cache[file] = mod;
  try {
    run(mod);
    mod.loaded = true;
  } finally {
    if (!mod.loaded) delete cache[file];
  }
  return mod.exports;
}
function run(mod) {
  const file = mod.filename, text = host('source', file);
  if (file.endsWith('.json')) { mod.exports = JSON.parse(text); return; }
  const f = file.endsWith('.mjs') ? undefined : commonJS(file, text);
  if (f) f.call(mod.exports, mod.exports, requireFor(file), mod, file, mod.path);
  else mod.exports = requireModule(file);
}
// commonJS compiles a file. It returns nothing where an import or export statement
// shows that it is an ES module.
function commonJS(file, text) {
  try {
    return compile(file, `(function (exports, require, module, __filename, __dirname) { ${text}\n})`);
  } catch (e) {
    if (!(e instanceof SyntaxError) || !/^\s*(import\b(?!\s*\()|export\b)/m.test(text)) throw e;
  }
}
function requireModule(file) {
  let state, value;
  import(file).then((ns) => { state = 'done'; value = ns; }, (e) => { state = 'failed'; value = e; });
  host('jobs');
  if (state === 'failed') throw value;
  if (!state) throw fault('ERR_REQUIRE_ASYNC_MODULE', `${file} awaits at its top level: import it, require cannot wait`, Error);
  return value;
}

// --- ES modules: what the loader in Go asks for ---

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
Object.defineProperty(globalThis, '__paceline', {
  value: Object.freeze({
    // synthetic returns the text of the module that stands for a builtin, a CommonJS
    // or a JSON file.
    synthetic(file) {
      const value = load(file);
      let text = `const m = __paceline.load(${JSON.stringify(file)}); export default m;`;
      if (value !== null && (typeof value === 'object' || typeof value === 'function') && !file.endsWith('.json')) {
        Object.keys(value).forEach((k, i) => {
          if (k !== 'default' && identifier.test(k)) text += `const v${i} = m[${JSON.stringify(k)}]; export { v${i} as ${k} };`;
        });
      }
      return text;
    },
    load,
    isModule: (file, text) => file.endsWith('.mjs') || (!file.endsWith('.json') && commonJS(file, text) === undefined),
    isBuiltin,
    meta(meta, file) {
      const url = builtin('url').pathToFileURL(file).href;
      Object.assign(meta, { dirname: dirname(file), filename: file, url, main: file === mainModule?.filename });
    },
  }),
});

// main runs the script. What the parent gives the isolate is on the bridge, and for
// worker_threads to read; moved are the ports in it.
function main(file, moved) {
  if (moved !== null) {
    loop.startup = { bytes: bridge.bytes, moved };
    bridge.bytes = undefined;
  }
  mainModule = { id: '.', filename: file, path: dirname(file), exports: {}, loaded: false, children: [], paths: [] };
  cache[file] = mainModule;
  const text = host('source', file);
  const f = file.endsWith('.mjs') ? undefined : commonJS(file, text);
  if (!f) { delete cache[file]; import(file).catch((e) => { rejections.set({}, e); }); return 0; }
  f.call(mainModule.exports, mainModule.exports, requireFor(file), mainModule, file, mainModule.path);
  mainModule.loaded = true;
  return 0;
}

// --- globals ---

const performance = { now: () => now(), timeOrigin: Date.now() - now(), mark() {}, measure() {}, toJSON: () => ({}) };
const globals = {
  global: globalThis,
  setTimeout: (f, ms, ...args) => new Timeout(f, ms, args, false),
  setInterval: (f, ms, ...args) => new Timeout(f, ms, args, true),
  setImmediate: (f, ...args) => new Immediate(f, args),
  clearTimeout: clear, clearInterval: clear,
  clearImmediate: (t) => { if (t instanceof Immediate && !t.gone) { t.gone = true; alive--; } },
  queueMicrotask: (f) => {
    if (typeof f !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'The "callback" argument must be of type function.');
    Promise.resolve().then(() => { guard(f); });
  },
  structuredClone: (v, options) => builtin('clone').structuredClone(v, options),
  performance,
  atob: (s) => builtin('buffer').atob(s), btoa: (s) => builtin('buffer').btoa(s),
};
for (const [k, value] of Object.entries(globals)) Object.defineProperty(globalThis, k, { value, writable: true, configurable: true });
const lazy = {
  Buffer: 'buffer', TextEncoder: 'util', TextDecoder: 'util', URL: 'url', URLSearchParams: 'url',
  MessageChannel: 'worker_threads', MessagePort: 'worker_threads', BroadcastChannel: 'worker_threads', MessageEvent: 'worker_threads',
};
for (const [k, from] of Object.entries(lazy)) {
  const set = (value) => Object.defineProperty(globalThis, k, { value, writable: true, configurable: true, enumerable: false });
  Object.defineProperty(globalThis, k, { get: () => { const v = builtin(from)[k]; set(v); return v; }, set, configurable: true });
}

// --- console, process ---

const write = (fd, text) => { host('write', fd, text); return true; };
let indent = '';
const print = (fd) => (...args) => {
  const text = builtin('util').format(...args);
  write(fd, indent + (indent ? text.replaceAll('\n', `\n${indent}`) : text) + '\n');
};
const out = print(1), err = print(2), labels = new Map();
const elapsed = (l, ...more) => out(`${l}: ${(now() - (labels.get(l) ?? now())).toFixed(3)}ms`, ...more);
const group = (...args) => { if (args.length) out(...args); indent += '  '; };
Object.defineProperty(globalThis, 'console', { configurable: true, writable: true, value: {
  log: out, info: out, debug: out, dir: (v) => out(v), table: (v) => out(v), error: err, warn: err,
  trace: (...a) => err(`Trace: ${builtin('util').format(...a)}\n${new Error().stack}`),
  group, groupCollapsed: group, groupEnd() { indent = indent.slice(2); },
  assert: (ok, ...a) => { if (!ok) err('Assertion failed' + (a.length ? ':' : ''), ...a); },
  time: (l = 'default') => { labels.set(l, now()); }, timeEnd: (l = 'default') => { elapsed(l); labels.delete(l); }, timeLog: (l = 'default', ...m) => elapsed(l, ...m),
  count(l = 'default') { const n = (labels.get(`#${l}`) ?? 0) + 1; labels.set(`#${l}`, n); out(`${l}: ${n}`); },
  countReset(l = 'default') { labels.delete(`#${l}`); },
} });

const text = (v) => { if (typeof v === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string'); return `${v}`; };
const env = new Proxy(Object.fromEntries(info.env), {
  set(t, k, v) { t[k] = text(v); return true; },
  defineProperty(t, k, d) { return Reflect.defineProperty(t, k, 'value' in d ? { ...d, value: text(d.value) } : d); },
});
const EventEmitter = builtin('events');
const stream = (fd) => Object.assign(new EventEmitter(), { fd, isTTY: false, writable: true, columns: 80, write: (s, ...rest) => { write(fd, String(s)); rest.find((f) => typeof f === 'function')?.(); return true; }, end() {} });
const hrtime = (before) => {
  const ns = BigInt(Math.round(now() * 1e6));
  let s = Number(ns / 1000000000n), n = Number(ns % 1000000000n);
  if (before) { s -= before[0]; n -= before[1]; if (n < 0) { s--; n += 1e9; } }
  return [s, n];
};
hrtime.bigint = () => BigInt(Math.round(now() * 1e6));
const process = Object.assign(new EventEmitter(), {
  title: 'node', version: `v${info.node}`, versions: { node: info.node, quickjs: info.quickjs }, arch: info.arch, platform: info.platform,
  release: { name: 'node' }, execPath: '/node', execArgv: [], argv0: 'node', argv: ['/node', ...info.argv], env, pid: info.pid, ppid: info.ppid,
  exitCode: undefined, features: {}, config: { variables: {} },
  cwd: () => info.dir, uptime: () => now() / 1000, hrtime,
  exit(code) { if (code !== undefined) process.exitCode = code; process.emit('exit', process.exitCode ?? 0); host('exit', Number(process.exitCode) || 0); },
  abort() { host('exit', 134); },
  nextTick: (f, ...args) => { Promise.resolve().then(() => { guard(f, ...args); }); },
  memoryUsage: Object.assign(() => { const heapUsed = host('memory'); return { rss: heapUsed, heapTotal: heapUsed, heapUsed, external: 0, arrayBuffers: 0 }; }, { rss: () => host('memory') }),
  emitWarning: (w) => { err(`(node:${info.pid}) ${w?.name ?? 'Warning'}: ${w?.message ?? w}`); },
  stdout: stream(1), stderr: stream(2), stdin: Object.assign(new EventEmitter(), { fd: 0, isTTY: false, resume() {}, setEncoding() {} }),
});
Object.defineProperty(process, Symbol.toStringTag, { value: 'process' });
Object.defineProperty(globalThis, 'process', { value: process, writable: true, configurable: true });

// At the end: an error in this script is told through them.
delete globalThis.__paceline_host;
delete globalThis.__paceline_bridge;
return globalThis.__paceline_dispatch = dispatch; // Go takes it
})();
