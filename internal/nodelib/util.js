// util: printing values, and the small helpers that packages load.
'use strict';
(function (module, exports, { host, builtin, fault }) {
const name = /^[A-Za-z_$][\w$]*$/;
const quote = (s) => {
  const q = !s.includes("'") ? "'" : !s.includes('"') ? '"' : !s.includes('`') ? '`' : "'";
  return q + s.replace(/[\\\n\t\r\b\f\v]/g, (c) => ({ '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r', '\b': '\\b', '\f': '\\f', '\v': '\\v' })[c])
    .replaceAll(q, (c) => (q === "'" && s.includes("'") ? `\\${c}` : c)) + q;
};
function inspect(v, o) {
  const limit = o?.depth === null ? Infinity : o?.depth ?? 2;
  const above = [];
  const show = (v, depth) => {
    switch (typeof v) {
      case 'string': return quote(v);
      case 'bigint': return `${v}n`;
      case 'number': return Object.is(v, -0) ? '-0' : String(v);
      case 'symbol': case 'undefined': case 'boolean': return String(v);
      case 'function': return /^class\b/.test(Function.prototype.toString.call(v)) ? `[class ${v.name || '(anonymous)'}]` : `[Function${v.name ? `: ${v.name}` : ' (anonymous)'}]`;
    }
    if (v === null) return 'null';
    if (above.includes(v)) return '[Circular *1]';
    const custom = v[inspect.custom];
    if (typeof custom === 'function') { const r = custom.call(v, limit - depth, o ?? {}, inspect); return typeof r === 'string' ? r : show(r, depth); }
    if (v instanceof Error) return v.stack ? `${v.name}: ${v.message}\n${v.stack}`.trimEnd() : `[${v}]`;
    if (v instanceof Date) return Number.isNaN(v.getTime()) ? 'Invalid Date' : v.toISOString();
    if (v instanceof RegExp) return String(v);
    if (v instanceof Promise) return 'Promise { <unknown> }';
    const type = Object.getPrototypeOf(v) === null ? '[Object: null prototype]' : v.constructor?.name ?? 'Object';
    if (depth > limit) return `[${type === 'Object' ? 'Object' : type}]`;
    above.push(v);
    try {
      const key = (k) => (typeof k === 'symbol' ? `[${String(k)}]` : name.test(k) ? k : quote(k));
      const field = (k) => {
        const d = Object.getOwnPropertyDescriptor(v, k);
        return `${key(k)}: ${d && d.get ? (d.set ? '[Getter/Setter]' : '[Getter]') : d && d.set ? '[Setter]' : show(v[k], depth + 1)}`;
      };
      const own = Reflect.ownKeys(v).filter((k) => Object.prototype.propertyIsEnumerable.call(v, k));
      if (Array.isArray(v) || (ArrayBuffer.isView(v) && !(v instanceof DataView))) {
        const items = [];
        for (let i = 0, holes = 0; i < v.length && items.length < 100; i++) {
          if (!(i in v)) holes++;
          if (holes && (i in v || i === v.length - 1)) { items.push(`<${holes} empty item${holes > 1 ? 's' : ''}>`); holes = 0; }
          if (i in v) items.push(show(v[i], depth + 1));
        }
        if (v.length > 100) items.push(`... ${v.length - 100} more item${v.length > 101 ? 's' : ''}`);
        items.push(...own.filter((k) => typeof k === 'symbol' || !/^\d+$/.test(k)).map(field));
        return wrap(Array.isArray(v) && type === 'Array' ? '' : `${type}(${v.length}) `, '[', items, ']');
      }
      if (v instanceof Map) return wrap(`Map(${v.size}) `, '{', [...v].map(([k, x]) => `${show(k, depth + 1)} => ${show(x, depth + 1)}`), '}');
      if (v instanceof Set) return wrap(`Set(${v.size}) `, '{', [...v].map((x) => show(x, depth + 1)), '}');
      return wrap(type === 'Object' ? '' : `${type} `, '{', own.map(field), '}');
    } finally {
      above.pop();
    }
  };
  const wrap = (prefix, open, items, close) => {
    if (items.length === 0) return `${prefix}${open}${close}`;
    const line = `${prefix}${open} ${items.join(', ')} ${close}`;
    if (line.length <= 76 && !line.includes('\n')) return line;
    return `${prefix}${open}\n  ${items.map((s) => s.replaceAll('\n', '\n  ')).join(',\n  ')}\n${close}`;
  };
  return show(v, 0);
}
inspect.custom = Symbol.for('nodejs.util.inspect.custom');
inspect.defaultOptions = {};

function format(first, ...rest) {
  if (typeof first !== 'string') return [first, ...rest].map((v) => (typeof v === 'string' ? v : inspect(v))).join(' ');
  let i = 0;
  const text = rest.length === 0 ? first : first.replace(/%[sdifjoOc%]/g, (d) => {
    if (d === '%%') return '%';
    if (i >= rest.length) return d;
    const v = rest[i++];
    switch (d) {
      case '%s': return typeof v === 'string' ? v : typeof v === 'bigint' ? `${v}n` : v !== null && typeof v === 'object' ? inspect(v, { depth: 0 }) : String(v);
      case '%d': return typeof v === 'bigint' ? `${v}n` : String(typeof v === 'object' ? NaN : Number(v));
      case '%i': return String(parseInt(v, 10));
      case '%f': return String(parseFloat(v));
      case '%j': try { return JSON.stringify(v); } catch { return '[Circular]'; }
      case '%c': return '';
    }
    return inspect(v, { depth: 4 });
  });
  return [text, ...rest.slice(i).map((v) => (typeof v === 'string' ? v : inspect(v)))].join(' ');
}

// clone is structuredClone.
function clone(root) {
  const seen = new Map();
  const copy = (v) => {
    if (typeof v === 'function' || typeof v === 'symbol') throw Object.assign(new Error(`${String(v)} could not be cloned.`), { name: 'DataCloneError' });
    if (v === null || typeof v !== 'object') return v;
    if (seen.has(v)) return seen.get(v);
    const keep = (r) => { seen.set(v, r); return r; };
    if (v instanceof Date) return keep(new Date(v.getTime()));
    if (v instanceof RegExp) return keep(new RegExp(v.source, v.flags));
    if (v instanceof Map) { const r = keep(new Map()); for (const [k, x] of v) r.set(copy(k), copy(x)); return r; }
    if (v instanceof Set) { const r = keep(new Set()); for (const x of v) r.add(copy(x)); return r; }
    if (v instanceof ArrayBuffer) return keep(v.slice(0));
    if (ArrayBuffer.isView(v)) return keep(v instanceof DataView ? new DataView(v.buffer.slice(0), v.byteOffset, v.byteLength) : Uint8Array.prototype.slice.call(v));
    if (v instanceof Error) { const r = keep(new (globalThis[v.name] ?? Error)(v.message)); r.stack = v.stack; return r; }
    const r = keep(Array.isArray(v) ? new Array(v.length) : {});
    for (const k of Object.keys(v)) r[k] = copy(v[k]);
    return r;
  };
  return copy(root);
}

function promisify(f) {
  if (typeof f !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'The "original" argument must be of type function.');
  if (f[promisify.custom]) return f[promisify.custom];
  return function (...args) {
    return new Promise((done, failed) => f.call(this, ...args, (e, v) => (e ? failed(e) : done(v))));
  };
}
promisify.custom = Symbol.for('nodejs.util.promisify.custom');

class TextEncoder {
  get encoding() { return 'utf-8'; }
  encode(s = '') { return new Uint8Array(builtin('buffer').Buffer.from(String(s))); }
}
class TextDecoder {
  constructor(encoding = 'utf-8') {
    const e = String(encoding).toLowerCase();
    if (!['utf8', 'utf-8', 'latin1', 'ascii', 'utf-16le'].includes(e)) throw new RangeError(`The "${encoding}" encoding is not supported`);
    this.encoding = e === 'utf8' ? 'utf-8' : e;
  }
  decode(v) {
    if (v === undefined) return '';
    const a = v instanceof ArrayBuffer ? new Uint8Array(v) : new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
    return builtin('buffer').Buffer.from(a).toString(this.encoding.replace('-16', '16')).replace(/^\ufeff/, '');
  }
}
const equal = (a, b) => {
  if (Object.is(a, b)) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object' || Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp) return String(a) === String(b);
  if (a instanceof Map || a instanceof Set) return a.size === b.size && equal([...a], [...b]);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && equal(a[k], b[k]));
};
module.exports = {
  inspect, format, clone, promisify, TextEncoder, TextDecoder,
  formatWithOptions: (o, ...args) => format(...args),
  isDeepStrictEqual: equal,
  isArray: Array.isArray,
  callbackify: (f) => function (...args) { const done = args.pop(); f.apply(this, args).then((v) => done(null, v), done); },
  deprecate: (f) => f,
  debuglog: () => Object.assign(() => {}, { enabled: false }),
  inherits: (c, p) => { Object.defineProperty(c, 'super_', { value: p, writable: true, configurable: true }); Object.setPrototypeOf(c.prototype, p.prototype); },
  stripVTControlCharacters: (s) => s.replace(/\x1b\[[0-9;]*[A-Za-z]/g, ''),
  types: {
    isDate: (v) => v instanceof Date, isRegExp: (v) => v instanceof RegExp, isPromise: (v) => v instanceof Promise, isMap: (v) => v instanceof Map,
    isSet: (v) => v instanceof Set, isNativeError: (v) => v instanceof Error, isUint8Array: (v) => v instanceof Uint8Array, isProxy: () => false,
    isTypedArray: (v) => ArrayBuffer.isView(v) && !(v instanceof DataView), isAsyncFunction: (v) => Object.prototype.toString.call(v) === '[object AsyncFunction]',
  },
};
})
