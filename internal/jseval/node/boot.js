// The core of what a config file takes for Node: modules, process, console and
// timers. Everything that it does not always need is a file of its own beside
// this one, and compiled when it is first asked for.
'use strict';
(() => {
const native = globalThis.__paceline_host;
const bridge = globalThis.__paceline_bridge;

// host calls Go; what Go answers with a code is thrown.
function host(op, ...args) {
  const r = native(op, ...args);
  if (r.code === undefined) return r.value;
  const e = new Error(r.message);
  for (const k of ['errno', 'code', 'syscall', 'path']) if (r[k] !== undefined) e[k] = r[k];
  throw e;
}

// compile returns the function (kind "function") or the value (kind "expression").
const compile = (file, text, kind) => taken(host('compile', file, text, kind));
// taken is what Go left on the bridge.
function taken(ok) {
  const v = bridge.value;
  delete bridge.value;
  if (!ok) throw v;
  return v;
}

function fault(code, message, Type = TypeError) {
  const e = new Type(message);
  e.code = code;
  return e;
}

const info = host('info');

// --- builtin modules ---

// What packages require when they load although a config needs none of it: the
// module is there, and its first use is the error.
const unavailable = {
  child_process: 'exec execSync execFile execFileSync spawn spawnSync fork ChildProcess',
  cluster: 'isMaster isPrimary isWorker fork setupPrimary workers',
  crypto: 'createHash createHmac createCipheriv createDecipheriv createSign createVerify randomBytes randomUUID randomInt ' +
    'randomFillSync pbkdf2 pbkdf2Sync scrypt scryptSync timingSafeEqual getHashes getCiphers generateKeyPairSync webcrypto',
  dgram: 'createSocket', dns: 'lookup resolve promises', 'dns/promises': 'lookup resolve',
  http: 'createServer request get Agent Server METHODS STATUS_CODES globalAgent',
  http2: 'connect createServer createSecureServer', https: 'createServer request get Agent globalAgent',
  inspector: 'open url Session', net: 'connect createConnection createServer Socket Server isIP isIPv4 isIPv6',
  readline: 'createInterface clearLine cursorTo', 'readline/promises': 'createInterface', repl: 'start',
  stream: 'Readable Writable Duplex Transform PassThrough pipeline finished', 'stream/promises': 'pipeline finished',
  string_decoder: 'StringDecoder', tls: 'connect createServer', tty: 'isatty ReadStream WriteStream',
  v8: 'serialize deserialize getHeapStatistics', vm: 'runInNewContext runInThisContext createContext Script',
  worker_threads: 'Worker isMainThread parentPort workerData threadId', zlib: 'gzipSync gunzipSync createGzip createGunzip',
  async_hooks: 'AsyncLocalStorage AsyncResource', diagnostics_channel: 'channel', sqlite: 'DatabaseSync', test: 'test',
};
const remedies = {
  child_process: 'a config file cannot run programs: run it before and pass the result in an environment variable, which process.env has',
};
function refuse(path) {
  const name = path.split('.')[0];
  throw fault('ERR_PACELINE_UNAVAILABLE', `${path} is not available: ` + (remedies[name] ?? 'a config file can read files and the environment only'), Error);
}
function stub(path) {
  return new Proxy(function () {}, {
    get(t, k) {
      if (typeof k === 'symbol' || k === 'prototype' || k === 'then' || k === '__esModule' || k === 'toJSON') return t[k];
      return stub(`${path}.${k}`);
    },
    set() { return true; },
    apply() { refuse(path); },
    construct() { refuse(path); },
  });
}
function stubModule(name) {
  const m = {};
  for (const k of unavailable[name].split(' ')) m[k] = stub(`${name}.${k}`);
  return new Proxy(m, { get(t, k) { return typeof k === 'symbol' || k in t || k === 'then' || k === '__esModule' ? t[k] : stub(`${name}.${k}`); } });
}

const files = ['assert', 'buffer', 'events', 'fs', 'os', 'path', 'querystring', 'url', 'util'];
const derived = {
  'fs/promises': () => builtin('fs').promises,
  'path/posix': () => builtin('path'),
  'util/types': () => builtin('util').types,
  'assert/strict': () => builtin('assert'),
  process: () => process,
  console: () => console,
  constants: () => builtin('fs').constants,
  timers: () => ({ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate, promises: builtin('timers/promises') }),
  'timers/promises': () => ({
    setTimeout: (ms, value) => new Promise((done) => setTimeout(done, ms, value)),
    setImmediate: (value) => new Promise((done) => setImmediate(done, value)),
  }),
  perf_hooks: () => ({ performance: globalThis.performance }),
  module: () => ({
    createRequire(from) {
      const file = typeof from === 'string' && !from.startsWith('file:') ? from : builtin('url').fileURLToPath(from);
      if (!file.startsWith('/')) throw fault('ERR_INVALID_ARG_VALUE', 'createRequire needs an absolute path or a file URL');
      return requireFor(new Module(file));
    },
    builtinModules: names, isBuiltin: (s) => names.includes(String(s).replace(/^node:/, '')), Module,
  }),
};
const names = [...files, ...Object.keys(derived), ...Object.keys(unavailable)].sort();
const built = Object.create(null);
function builtin(name) {
  if (name in built) return built[name];
  if (name in unavailable) return built[name] = stubModule(name);
  if (name in derived) return built[name] = derived[name]();
  const m = { exports: {} };
  built[name] = m.exports;
  taken(host('internal', name))(m, m.exports, { host, builtin, info, fault });
  return built[name] = m.exports;
}

// --- CommonJS ---

const cache = Object.create(null);
let main;
const dirname = (file) => file.slice(0, file.lastIndexOf('/')) || '/';
class Module {
  constructor(file, parent) {
    this.id = parent ? file : '.';
    this.path = dirname(file);
    this.exports = {};
    this.filename = file;
    this.loaded = false;
    this.children = [];
    this.paths = lookups(this.path);
    Object.defineProperty(this, 'parent', { value: parent, configurable: true, writable: true });
    if (parent) parent.children.push(this);
  }
  require(spec) { return requireFor(this)(spec); }
}
function lookups(dir) {
  const list = [];
  for (let d = dir; ; d = dirname(d)) {
    if (!d.endsWith('/node_modules')) list.push((d === '/' ? '' : d) + '/node_modules');
    if (d === '/') return list;
  }
}
function requireFor(mod) {
  const find = (spec) => {
    if (typeof spec !== 'string' || spec === '') {
      throw fault('ERR_INVALID_ARG_TYPE', 'require needs the name of a module');
    }
    return host('resolve', mod.filename, spec, false);
  };
  const require = (spec) => { const at = find(spec); return load(at.file, at.format, mod); };
  require.resolve = (spec) => { const at = find(spec); return at.format === 'builtin' && !spec.startsWith('node:') ? at.file.slice(5) : at.file; };
  require.resolve.paths = () => mod.paths;
  require.cache = cache;
  require.extensions = { '.js': null, '.json': null };
  require.main = main;
  return require;
}
function load(file, format, parent) {
  if (format === 'builtin') return builtin(file.slice(5));
  if (file in cache) return cache[file].exports;
  const mod = new Module(file, parent);
  cache[file] = mod;
  try {
    if (format === 'esm') mod.exports = requireModule(file);
    else if (format === 'json') mod.exports = parseJSON(file, host('source', file));
    else run(mod, host('source', file));
    mod.loaded = true;
  } finally {
    if (!mod.loaded) delete cache[file];
  }
  return mod.exports;
}
function run(mod, text) {
  const f = commonJS(mod.filename, text);
  if (f) f.call(mod.exports, mod.exports, requireFor(mod), mod, mod.filename, mod.path);
  else mod.exports = requireModule(mod.filename);
}
// commonJS compiles a file. It returns nothing where an import or export statement
// in a .js file shows that it is an ES module, although no package.json says so.
function commonJS(file, text) {
  try {
    return compile(file, text, 'function');
  } catch (e) {
    if (!(e instanceof SyntaxError) || !file.endsWith('.js') || !/^\s*(import\b(?!\s*\()|export\b)/m.test(text) || !host('module', file)) throw e;
  }
}
function parseJSON(file, text) {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (e) {
    throw Object.assign(e, host('json', file, text));
  }
}
// requireModule is require of an ES module, which works, as in Node, where
// nothing in it awaits at its top level.
function requireModule(file) {
  let state, value;
  import(file).then((ns) => { state = 'done'; value = ns; }, (e) => { state = 'failed'; value = e; });
  host('jobs');
  if (state === 'failed') throw value;
  if (!state) throw fault('ERR_REQUIRE_ASYNC_MODULE', `${file} awaits at its top level: import it, require cannot wait`, Error);
  return value;
}

// --- ES modules: what the loader in Go asks for ---

const errors = [], broken = new Map(); // by number, by the module's name
const quote = JSON.stringify;
// wrapper is the text of an ES module that stands for a value.
function wrapper(get, value, named) {
  let text = `const m = ${get}; export default m;`;
  if (named && value !== null && (typeof value === 'object' || typeof value === 'function')) {
    Object.keys(value).forEach((k, i) => {
      if (k !== 'default' && /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(k)) text += `const v${i} = m[${quote(k)}]; export { v${i} as ${k} };`;
    });
  }
  return text;
}
Object.defineProperty(globalThis, '__paceline', {
  value: Object.freeze({
    // synthetic returns the text of the module that stands for a builtin, a
    // CommonJS or a JSON file.
    synthetic(format, file) {
      try {
        const value = load(file, format, main ?? null);
        return wrapper(`__paceline.load(${quote(file)}, ${quote(format)})`, value, format !== 'json');
      } catch (e) {
        broken.set(`${format}:${file}`, e);
        return `throw __paceline.error(${errors.push(e) - 1})`;
      }
    },
    // missing keeps the error of a resolution that failed for its import to throw.
    missing(code, message, file, line, column, name) {
      const e = Object.assign(fault(code, message, Error), { fileName: file, lineNumber: line, columnNumber: column });
      for (const k of ['fileName', 'lineNumber', 'columnNumber']) Object.defineProperty(e, k, { enumerable: false });
      broken.set(name || `error:${errors.length}`, e);
      return errors.push(e) - 1;
    },
    error: (n) => errors[n],
    load: (file, format) => load(file, format, main ?? null),
    meta(meta, file) {
      // A usual path is its own URL; the url module takes a millisecond.
      const url = /^[\w/.-]+$/.test(file) ? `file://${file}` : builtin('url').pathToFileURL(file).href;
      Object.assign(meta, {
        dirname: dirname(file), filename: file,
        resolve: (spec) => {
          const at = host('resolve', file, String(spec), true);
          return at.format === 'builtin' ? at.file : builtin('url').pathToFileURL(at.file).href;
        },
        url,
      });
    },
    builtins: () => names.join(' '),
    start, tick,
  }),
});

// --- the config itself ---

function start(kind, file, text) {
  try {
    let value;
    if (kind === 'module') {
      value = import(file).then((ns) => ('default' in ns ? ns.default : ns));
    } else if (kind === 'expression') {
      value = compile(file, text, 'expression');
    } else {
      const f = commonJS(file, text);
      if (!f) return start('module', file, text);
      main = new Module(file);
      cache[file] = main;
      f.call(main.exports, main.exports, requireFor(main), main, main.filename, main.path);
      main.loaded = true;
      value = main.exports;
    }
    const then = value !== null && typeof value === 'object' ? value.then : undefined;
    if (typeof then === 'function') Promise.resolve(value).then(finish).catch(fail);
    else finish(value);
  } catch (e) {
    fail(e);
  }
}
function finish(value) {
  const what = typeof value;
  if (what === 'undefined') return refused('its value is undefined: nothing is exported');
  if (what === 'function') return refused('its value is a function: export what the function returns');
  if (what === 'symbol') return refused('its value is a symbol, which JSON cannot hold');
  let json;
  try {
    json = JSON.stringify(value);
  } catch (e) {
    const why = obstacle(value);
    if (why) return refused(why);
    throw e;
  }
  if (json === undefined) return refused('its value is nothing that JSON can hold');
  if (json.length > info.maxValue) return refused(`its value is too large: ${json.length} bytes of JSON, and at most ${info.maxValue} are taken`);
  host('done', json);
}
const refused = (message) => host('fail', quote({ message }));
// obstacle tells where JSON.stringify stops.
function obstacle(root) {
  const above = new Map(), seen = new Set();
  const name = (path) => path || 'the value itself';
  const walk = (v, path) => {
    if (typeof v === 'bigint') return `${name(path)} is a BigInt, which JSON cannot hold: write Number() or String() around it`;
    if (v === null || typeof v !== 'object' || typeof v.toJSON === 'function') return;
    if (above.has(v)) return `${name(path)} refers back to ${name(above.get(v))}: JSON cannot hold a cycle`;
    if (seen.has(v)) return;
    seen.add(v);
    above.set(v, path);
    for (const k of Object.keys(v)) {
      const at = Array.isArray(v) ? `${path}[${k}]` : /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(k) ? (path ? `${path}.${k}` : k) : `${path}[${quote(k)}]`;
      const why = walk(v[k], at);
      if (why) return why;
    }
    above.delete(v);
  };
  try { return walk(root, ''); } catch { /* a getter that throws: JSON.stringify's own error tells */ }
}
function fail(e) {
  const d = {};
  // A module that could not be loaded has no exports, which the engine sees first.
  const attempt = (f) => { try { return f(); } catch { /* a trap or a getter */ } };
  const text = attempt(() => e.message);
  if (e instanceof SyntaxError && typeof text === 'string') {
    const [, name] = / in module '(.*)'$/.exec(text) ?? [];
    if (broken.has(name)) return fail(broken.get(name));
    if (name) attempt(() => { e.message = text.replace(/'(?:cjs|json):/, "'"); });
  }
  const put = (k, f) => { try { const v = f(); if (v !== undefined) d[k] = typeof v === 'number' ? v : String(v); } catch { /* not readable: left out */ } };
  if (e instanceof Error || (e !== null && typeof e === 'object' && typeof attempt(() => e.stack) === 'string')) {
    put('name', () => e.name);
    put('message', () => e.message);
    put('stack', () => e.stack);
    put('file', () => e.fileName);
    put('line', () => e.lineNumber);
    put('column', () => e.columnNumber);
    put('cause', () => (e.cause === undefined ? undefined : e.cause instanceof Error ? e.cause.message : builtin('util').inspect(e.cause)));
    if (Array.isArray(e.errors)) put('cause', () => e.errors.map((x) => x?.message ?? String(x)).join('; '));
  } else {
    put('message', () => `it throws ${typeof e === 'string' ? e : builtin('util').inspect(e)}`);
    if (!d.message) d.message = 'it throws a value that cannot be shown';
  }
  host('fail', quote(d));
}

// --- timers ---

let timers = [], count = 0;
const began = info.now;
const now = () => host('now');
function add(f, ms, args, every) {
  if (typeof f !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'a timer needs a function');
  ms = Number(ms);
  if (!(ms >= 1 && ms < 2 ** 31)) ms = 1;
  const t = {
    f, args, ms, every, id: ++count, at: now() + ms, held: true,
    ref() { t.held = true; return t; }, unref() { t.held = false; return t; }, hasRef: () => t.held,
    refresh() { t.at = now() + ms; return t; }, close() { remove(t); }, [Symbol.toPrimitive]: () => t.id,
  };
  timers.push(t);
  return t;
}
const remove = (t) => { timers = timers.filter((x) => x !== t && x.id !== t); };
let soon = [];
// tick runs what is due and returns the milliseconds until the next, -1 for none.
function tick() {
  const list = soon, ran = list.length > 0;
  soon = [];
  try {
    for (const t of list) if (!t.gone) t.f(...t.args);
    const at = now();
    // One due timer for each tick: its promises come before the next timer.
    const due = timers.filter((t) => t.at <= at).sort((a, b) => a.at - b.at || a.id - b.id)[0];
    if (due) {
      if (due.every) due.at = at + due.ms;
      else remove(due);
      due.f(...due.args);
      return 0;
    }
  } catch (e) {
    fail(e);
    return 0;
  }
  if (ran || soon.length) return 0;
  const held = timers.filter((t) => t.held);
  return held.length ? Math.max(0, Math.min(...timers.map((t) => t.at)) - now()) : -1;
}

const globals = {
  global: globalThis,
  setTimeout: (f, ms, ...args) => add(f, ms, args, false),
  setInterval: (f, ms, ...args) => add(f, ms, args, true),
  setImmediate: (f, ...args) => { const t = { f, args, ref: () => t, unref: () => t, hasRef: () => true }; soon.push(t); return t; },
  clearTimeout: remove, clearInterval: remove,
  clearImmediate: (t) => { if (t) t.gone = true; },
  queueMicrotask: (f) => { Promise.resolve().then(f).catch(fail); },
  structuredClone: (v) => builtin('util').clone(v),
  performance: { now: () => now() - began, timeOrigin: Date.now(), mark() {}, measure() {} },
  fetch: stub('fetch'),
  atob: (s) => builtin('buffer').atob(s), btoa: (s) => builtin('buffer').btoa(s),
};
for (const [k, value] of Object.entries(globals)) Object.defineProperty(globalThis, k, { value, writable: true, configurable: true });
const lazy = { Buffer: 'buffer', TextEncoder: 'util', TextDecoder: 'util', URL: 'url', URLSearchParams: 'url' };
for (const [k, from] of Object.entries(lazy)) {
  const set = (value) => Object.defineProperty(globalThis, k, { value, writable: true, configurable: true, enumerable: false });
  Object.defineProperty(globalThis, k, { get: () => { const v = builtin(from)[k]; set(v); return v; }, set, configurable: true });
}

// --- console, process ---

const write = (text) => { host('log', text); return true; };
const print = (...args) => { write(builtin('util').format(...args) + '\n'); };
const labels = new Map();
globalThis.console = {
  log: print, info: print, debug: print, error: print, warn: print, group: print, dir: (v) => print(v), table: (v) => print(v),
  trace: (...a) => print('Trace:', ...a), groupEnd() {}, groupCollapsed: print,
  assert: (ok, ...a) => { if (!ok) print('Assertion failed:', ...a); },
  time: (l = 'default') => { labels.set(l, now()); },
  timeEnd: (l = 'default') => { print(`${l}: ${(now() - (labels.get(l) ?? now())).toFixed(3)}ms`); },
  timeLog: (l = 'default') => { print(`${l}: ${(now() - (labels.get(l) ?? now())).toFixed(3)}ms`); },
  count(l = 'default') { const n = (labels.get(`#${l}`) ?? 0) + 1; labels.set(`#${l}`, n); print(`${l}: ${n}`); },
};
Object.defineProperty(globalThis, 'console', { enumerable: false });

// What is put into process.env becomes a string, as in Node.
const text = (v) => {
  if (typeof v === 'symbol') throw new TypeError('process.env cannot hold a symbol');
  return `${v}`;
};
const env = new Proxy(Object.fromEntries(info.environ), {
  set(t, k, v) { t[k] = text(v); return true; },
  defineProperty(t, k, d) {
    return Reflect.defineProperty(t, k, 'value' in d ? { ...d, value: text(d.value) } : d);
  },
});
const stream = (fd) => ({ fd, isTTY: false, writable: true, columns: 80, write: (s) => write(String(s)), end() {}, on() { return this; }, once() { return this; } });
const hrtime = (before) => {
  const ns = BigInt(Math.round(now() * 1e6));
  let s = Number(ns / 1000000000n), n = Number(ns % 1000000000n);
  if (before) {
    s -= before[0]; n -= before[1];
    if (n < 0) { s--; n += 1e9; }
  }
  return [s, n];
};
hrtime.bigint = () => BigInt(Math.round(now() * 1e6));
const memory = () => ({ rss: info.memory, heapTotal: info.memory, heapUsed: info.memory, external: 0, arrayBuffers: 0 });
memory.rss = () => info.memory;
const self = () => process;
const process = {
  title: 'node', version: `v${info.node}`, versions: { node: info.node, v8: '0.0.0', quickjs: info.quickjs, modules: '127' },
  arch: info.arch, platform: info.platform, release: { name: 'node', lts: false },
  get execPath() { return host('node'); }, execArgv: [], get argv() { return argv ??= [host('node'), info.exe]; }, set argv(v) { argv = v; }, argv0: 'node',
  env, pid: info.pid, ppid: info.ppid, exitCode: undefined, features: {}, config: { variables: {} }, debugPort: 9229,
  cwd: () => info.dir,
  chdir: () => { throw fault('ERR_PACELINE_UNAVAILABLE', 'process.chdir is not available: a config file cannot change the directory of its caller; write cwd into the app', Error); },
  exit: (code = process.exitCode ?? 0) => { host('exit', String(code), new Error().stack); },
  abort: () => { host('exit', 'abort', new Error().stack); },
  kill: stub('process.kill'), umask: () => info.umask,
  nextTick: (f, ...args) => { Promise.resolve().then(() => f(...args)).catch(fail); },
  uptime: () => (now() - began) / 1000, hrtime, memoryUsage: memory, cpuUsage: () => ({ user: 0, system: 0 }),
  getuid: () => info.uid, geteuid: () => info.uid, getgid: () => info.gid, getegid: () => info.gid,
  emitWarning: (w) => { print(`Warning: ${w?.message ?? w}`); },
  on: self, once: self, off: self, addListener: self, removeListener: self, removeAllListeners: self, prependListener: self,
  emit: () => false, listeners: () => [], listenerCount: () => 0, setMaxListeners: self,
  stdout: stream(1), stderr: stream(2), stdin: { fd: 0, isTTY: false, on() { return this; }, resume() {}, setEncoding() {} },
};
let argv;
Object.defineProperty(process, Symbol.toStringTag, { value: 'process' });
Object.defineProperty(globalThis, 'process', { value: process, writable: true, configurable: true });
// At the end: an error in this script is told through it.
delete globalThis.__paceline_host;
delete globalThis.__paceline_bridge;
})();
