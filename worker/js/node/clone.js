// clone: values to and from the wire form of V8's serializer, version 15, which Go's
// worker/clone and Node's v8.deserialize read as well.
'use strict';
(function (module, exports, { host, fault }) {
const VERSION = 15;
const views = {
  b: Int8Array, B: Uint8Array, C: Uint8ClampedArray, w: Int16Array, W: Uint16Array, d: Int32Array, D: Uint32Array,
  f: Float32Array, F: Float64Array, q: BigInt64Array, Q: BigUint64Array, '?': DataView,
};
if (typeof Float16Array === 'function') views.h = Float16Array;
const viewTags = new Map(Object.entries(views).map(([tag, type]) => [type, tag.charCodeAt(0)]));
const errorTags = { E: EvalError, R: RangeError, F: ReferenceError, S: SyntaxError, T: TypeError, U: URIError };
const errorNames = new Map(Object.entries(errorTags).map(([tag, type]) => [type.name, tag.charCodeAt(0)]));
const flagBits = { g: 1, i: 2, m: 4, y: 8, u: 16, s: 32, d: 128, v: 256 };
const code = (c) => c.charCodeAt(0);
const UNDEFINED = code('_'), NULL = code('0'), TRUE = code('T'), FALSE = code('F'), INT = code('I'), UINT = code('U'), DOUBLE = code('N'),
  BIGINT = code('Z'), LATIN1 = code('"'), UTF16 = code('c'), UTF8 = code('S'), REF = code('^'), OBJECT = code('o'), OBJECT_END = code('{'),
  DENSE = code('A'), DENSE_END = code('$'), SPARSE = code('a'), SPARSE_END = code('@'), HOLE = code('-'), DATE = code('D'), REGEXP = code('R'),
  MAP = code(';'), MAP_END = code(':'), SET = code("'"), SET_END = code(','), BUFFER = code('B'), RESIZABLE = code('~'), VIEW = code('V'),
  ERROR = code('r'), ERROR_END = code('.'), HOST = code('\\'), TRUE_OBJECT = code('y'), FALSE_OBJECT = code('x'), NUMBER_OBJECT = code('n'),
  BIGINT_OBJECT = code('z'), STRING_OBJECT = code('s');
const uncloneable = [Promise, WeakMap, WeakSet, WeakRef, FinalizationRegistry, SharedArrayBuffer];

class DataCloneError extends Error {
  constructor(message) {
    super(message);
    Object.defineProperty(this, 'name', { value: 'DataCloneError', configurable: true, writable: true });
    Object.defineProperty(this, 'code', { value: 25, configurable: true, writable: true });
  }
}
const refuse = (what) => { throw new DataCloneError(`${what} could not be cloned.`); };

class Writer {
  constructor(hosts) {
    this.bytes = new Uint8Array(256);
    this.view = new DataView(this.bytes.buffer);
    this.at = 0;
    this.seen = new Map();
    this.hosts = hosts; // object to its number
    this.byte(0xff);
    this.byte(VERSION);
  }
  room(n) {
    if (this.at + n <= this.bytes.length) return;
    const more = new Uint8Array(Math.max(this.bytes.length * 2, this.at + n));
    more.set(this.bytes.length === this.at ? this.bytes : this.bytes.subarray(0, this.at));
    this.bytes = more;
    this.view = new DataView(more.buffer);
  }
  byte(b) { if (this.at === this.bytes.length) this.room(1); this.bytes[this.at++] = b; }
  varint(n) {
    while (n >= 0x80) { this.byte((n % 128) | 0x80); n = Math.floor(n / 128); }
    this.byte(n);
  }
  double(n) { this.room(8); this.view.setFloat64(this.at, n, true); this.at += 8; }
  raw(b) { this.room(b.length); this.bytes.set(b, this.at); this.at += b.length; }
  string(s) {
    const n = s.length, start = this.at;
    this.room(n * 2 + 16);
    const b = this.bytes;
    b[this.at++] = LATIN1;
    this.varint(n);
    let at = this.at;
    for (let i = 0; i < n; i++) {
      const c = s.charCodeAt(i);
      if (c > 0xff) { this.at = start; this.wide(s); return; }
      b[at++] = c;
    }
    this.at = at;
  }
  wide(s) { // the two-byte units stand at even places
    const n = s.length;
    let size = 1;
    for (let k = n * 2; k >= 128; k = Math.floor(k / 128)) size++;
    this.room(n * 2 + 16);
    if ((this.at + 1 + size) & 1) this.byte(0);
    this.byte(UTF16);
    this.varint(n * 2);
    let at = this.at;
    for (let i = 0; i < n; i++) { this.view.setUint16(at, s.charCodeAt(i), true); at += 2; }
    this.at = at;
  }
  bigint(v) {
    const negative = v < 0n;
    let hex = (negative ? -v : v).toString(16);
    if (v === 0n) { this.varint(0); return; }
    hex = hex.padStart(Math.ceil(hex.length / 16) * 16, '0'); // digits of 64 bits
    this.varint(hex.length + (negative ? 1 : 0)); // bytes times two, and the sign
    for (let i = hex.length - 2; i >= 0; i -= 2) this.byte(parseInt(hex.slice(i, i + 2), 16));
  }
  value(v) {
    switch (typeof v) {
      case 'undefined': this.byte(UNDEFINED); return;
      case 'boolean': this.byte(v ? TRUE : FALSE); return;
      case 'number':
        if (v === (v | 0) && v >= -0x40000000 && v < 0x40000000 && !Object.is(v, -0)) {
          this.byte(INT);
          this.varint(v < 0 ? -v * 2 - 1 : v * 2);
        } else { this.byte(DOUBLE); this.double(v); }
        return;
      case 'string': this.string(v); return;
      case 'bigint': this.byte(BIGINT); this.bigint(v); return;
      case 'symbol': refuse(String(v)); break;
      case 'function': refuse(String(v)); break;
      default: if (v === null) this.byte(NULL); else this.object(v);
    }
  }
  object(v) {
    const id = this.seen.get(v);
    if (id !== undefined) { this.byte(REF); this.varint(id); return; }
    const number = this.hosts?.get(v);
    if (number !== undefined) {
      this.seen.set(v, this.seen.size);
      this.byte(HOST);
      this.varint(number);
      return;
    }
    if (ArrayBuffer.isView(v)) { this.arrayView(v); return; }
    this.seen.set(v, this.seen.size);
    const proto = Object.getPrototypeOf(v);
    if (proto === Object.prototype || proto === null) this.plain(v);
    else if (Array.isArray(v)) this.array(v);
    else if (v instanceof Map) {
      const list = [...v];
      this.byte(MAP);
      for (const [k, x] of list) { this.value(k); this.value(x); }
      this.byte(MAP_END);
      this.varint(list.length * 2);
    } else if (v instanceof Set) {
      const list = [...v];
      this.byte(SET);
      for (const x of list) this.value(x);
      this.byte(SET_END);
      this.varint(list.length);
    } else if (v instanceof Date) { this.byte(DATE); this.double(v.getTime()); }
    else if (v instanceof RegExp) {
      this.byte(REGEXP);
      this.string(v.source);
      let bits = 0;
      for (const f of v.flags) bits |= flagBits[f] ?? 0;
      this.varint(bits);
    } else if (v instanceof ArrayBuffer) this.buffer(v);
    else if (v instanceof Error) this.error(v);
    else if (v instanceof Boolean) this.byte(v.valueOf() ? TRUE_OBJECT : FALSE_OBJECT);
    else if (v instanceof Number) { this.byte(NUMBER_OBJECT); this.double(v.valueOf()); }
    else if (v instanceof String) { this.byte(STRING_OBJECT); this.string(v.valueOf()); }
    else if (v instanceof BigInt) { this.byte(BIGINT_OBJECT); this.bigint(v.valueOf()); }
    else if (v[unclonable] || uncloneable.some((type) => v instanceof type)) refuse(`#<${v.constructor?.name ?? 'Object'}>`);
    else this.plain(v);
  }
  plain(v) {
    this.byte(OBJECT);
    const keys = Object.keys(v);
    let n = 0;
    for (const k of keys) n += this.property(v, k);
    this.byte(OBJECT_END);
    this.varint(n);
  }
  property(v, k) {
    if (!Object.hasOwn(v, k)) return 0; // a getter has deleted it
    const x = v[k];
    this.key(k);
    this.value(x);
    return 1;
  }
  key(k) {
    const i = k >>> 0;
    if (String(i) === k && i < 0x40000000) { this.byte(INT); this.varint(i * 2); }
    else this.string(k);
  }
  array(v) {
    const n = v.length, keys = Object.keys(v);
    const indices = keys.findIndex((k) => String(k >>> 0) !== k || (k >>> 0) >= n);
    const dense = indices < 0 ? keys.length : indices;
    if (dense === n || dense * 4 >= n) {
      this.byte(DENSE);
      this.varint(n);
      for (let i = 0; i < n; i++) {
        if (i in v) this.value(v[i]);
        else this.byte(HOLE);
      }
      let count = 0;
      for (const k of keys.slice(dense)) count += this.property(v, k);
      this.byte(DENSE_END);
      this.varint(count);
      this.varint(n);
      return;
    }
    this.byte(SPARSE);
    this.varint(n);
    let count = 0;
    for (const k of keys) count += this.property(v, k);
    this.byte(SPARSE_END);
    this.varint(count);
    this.varint(n);
  }
  buffer(b) {
    if (b.detached) throw new DataCloneError('An ArrayBuffer is detached and could not be cloned.');
    if (b.resizable) { this.byte(RESIZABLE); this.varint(b.byteLength); this.varint(b.maxByteLength); }
    else { this.byte(BUFFER); this.varint(b.byteLength); }
    this.raw(new Uint8Array(b));
  }
  arrayView(v) {
    let tag;
    for (let p = v; p && tag === undefined; p = Object.getPrototypeOf(p)) tag = viewTags.get(p.constructor);
    if (tag === undefined) refuse(`#<${v.constructor?.name}>`);
    if (v.buffer instanceof SharedArrayBuffer) refuse('#<SharedArrayBuffer>');
    const offset = v.byteOffset, length = v.byteLength;
    this.object(v.buffer);
    this.seen.set(v, this.seen.size);
    this.byte(VIEW);
    this.byte(tag);
    this.varint(offset);
    this.varint(length);
    this.varint(0);
  }
  error(e) {
    this.byte(ERROR);
    let name = 'Error', message, stack;
    try { name = String(e.name); } catch { /* a getter */ }
    const tag = errorNames.get(name);
    if (tag) this.byte(tag);
    if (Object.hasOwn(e, 'message')) { message = String(e.message); this.byte(code('m')); this.string(message); }
    if (Object.hasOwn(e, 'cause')) { this.byte(code('c')); this.value(e.cause); }
    try { stack = e.stack; } catch { /* a getter */ }
    if (typeof stack === 'string') { this.byte(code('s')); this.string(head(name, message) + stack); }
    this.byte(ERROR_END);
  }
  done() { return this.bytes.buffer.slice(0, this.at); }
}
// head is the first line that V8's stacks have, and QuickJS's do not.
const head = (name, message) => `${name}${message ? `: ${message}` : ''}\n`;
const unclonable = Symbol('unclonable');

const broken = () => { throw new Error('Unable to deserialize cloned data.'); };

class Reader {
  constructor(buffer, hosts) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.at = 0;
    this.seen = [];
    this.hosts = hosts; // what stands for each number
    this.depth = 0;
    if (this.byte() !== 0xff) broken();
    this.version = this.varint();
    if (this.version < 13 || this.version > VERSION) broken();
  }
  byte() { if (this.at >= this.bytes.length) broken(); return this.bytes[this.at++]; }
  tag() { let t; do t = this.byte(); while (t === 0); return t; }
  peek() { while (this.bytes[this.at] === 0) this.at++; return this.bytes[this.at]; }
  varint() {
    let n = 0, factor = 1;
    for (let i = 0; i < 5; i++) {
      const b = this.byte();
      n += (b & 0x7f) * factor;
      if (b < 0x80) { if (n > 0xffffffff) broken(); return n; }
      factor *= 128;
    }
    return broken();
  }
  double() { if (this.at + 8 > this.bytes.length) broken(); this.at += 8; return this.view.getFloat64(this.at - 8, true); }
  raw(n) { if (this.at + n > this.bytes.length) broken(); this.at += n; return this.bytes.subarray(this.at - n, this.at); }
  bigint() {
    const bits = this.varint(), n = bits >>> 1, b = this.raw(n);
    let hex = '';
    for (let i = n - 1; i >= 0; i--) hex += b[i].toString(16).padStart(2, '0');
    const v = hex === '' ? 0n : BigInt('0x' + hex);
    return bits & 1 ? -v : v;
  }
  text(tag) {
    const n = this.varint(), parts = [];
    const b = this.raw(n);
    const add = (units) => { for (let i = 0; i < units.length; i += 4096) parts.push(String.fromCharCode.apply(null, units.subarray(i, i + 4096))); };
    if (tag === LATIN1) add(b);
    else if (tag === UTF16) {
      if (n & 1) broken();
      const units = new Uint16Array(n / 2);
      for (let i = 0, at = this.at - n; i < units.length; i++, at += 2) units[i] = this.view.getUint16(at, true);
      add(units);
    } else if (tag === UTF8) {
      add(b);
      return host('decode', parts.join(''), 'utf8');
    } else broken();
    return parts.length === 1 ? parts[0] : parts.join('');
  }
  string() { return this.text(this.tag()); }
  keep(v) { this.seen.push(v); return v; }
  value() {
    if (++this.depth > 2000) broken();
    const tag = this.tag();
    let v = this.of(tag);
    if (v instanceof ArrayBuffer && this.peek() === VIEW) v = this.arrayView(v);
    this.depth--;
    return v;
  }
  of(tag) {
    switch (tag) {
      case UNDEFINED: return undefined;
      case NULL: return null;
      case TRUE: return true;
      case FALSE: return false;
      case INT: { const n = this.varint(); return n % 2 ? -(n + 1) / 2 : n / 2; }
      case UINT: return this.varint();
      case DOUBLE: return this.double();
      case BIGINT: return this.bigint();
      case LATIN1: case UTF16: case UTF8: return this.text(tag);
      case REF: { const id = this.varint(); if (id >= this.seen.length) broken(); return this.seen[id]; }
      case OBJECT: { const o = this.keep({}); if (this.properties(o, OBJECT_END) !== this.varint()) broken(); return o; }
      case DENSE: {
        const n = this.varint();
        if (n > this.bytes.length - this.at) broken();
        const a = this.keep(new Array(n));
        for (let i = 0; i < n; i++) {
          if (this.peek() === HOLE) this.at++;
          else a[i] = this.value();
        }
        if (this.properties(a, DENSE_END) !== this.varint() || this.varint() !== n) broken();
        return a;
      }
      case SPARSE: {
        const a = this.keep([]);
        a.length = this.varint();
        if (this.properties(a, SPARSE_END) !== this.varint() || this.varint() !== a.length) broken();
        return a;
      }
      case DATE: return this.keep(new Date(this.double()));
      case TRUE_OBJECT: return this.keep(new Boolean(true));
      case FALSE_OBJECT: return this.keep(new Boolean(false));
      case NUMBER_OBJECT: return this.keep(new Number(this.double()));
      case BIGINT_OBJECT: return this.keep(Object(this.bigint()));
      case STRING_OBJECT: return this.keep(new String(this.string()));
      case REGEXP: {
        const source = this.string(), bits = this.varint();
        return this.keep(new RegExp(source, Object.keys(flagBits).filter((f) => bits & flagBits[f]).join('')));
      }
      case MAP: {
        const m = this.keep(new Map());
        let n = 0;
        for (; this.peek() !== MAP_END; n += 2) { const k = this.value(); m.set(k, this.value()); }
        this.at++;
        if (this.varint() !== n) broken();
        return m;
      }
      case SET: {
        const s = this.keep(new Set());
        let n = 0;
        for (; this.peek() !== SET_END; n++) s.add(this.value());
        this.at++;
        if (this.varint() !== n) broken();
        return s;
      }
      case BUFFER: return this.keep(this.raw(this.varint()).slice().buffer);
      case RESIZABLE: {
        const n = this.varint(), maxByteLength = this.varint();
        if (n > maxByteLength) broken();
        const b = new ArrayBuffer(n, { maxByteLength });
        new Uint8Array(b).set(this.raw(n));
        return this.keep(b);
      }
      case ERROR: return this.error();
      case HOST: { const v = this.hosts?.[this.varint()]; if (v === undefined) broken(); return this.keep(v); }
    }
    return broken();
  }
  properties(o, end) {
    for (let n = 0; ; n++) {
      if (this.peek() === end) { this.at++; return n; }
      const k = this.value();
      if (typeof k !== 'string' && typeof k !== 'number') broken();
      const v = this.value();
      if (k === '__proto__') Object.defineProperty(o, k, { value: v, enumerable: true, configurable: true, writable: true });
      else o[k] = v;
    }
  }
  arrayView(buffer) {
    this.at++;
    const type = views[String.fromCharCode(this.byte())], offset = this.varint(), length = this.varint();
    if (this.version >= 14) this.varint();
    const size = type?.BYTES_PER_ELEMENT ?? 1;
    if (!type || offset % size || length % size || offset + length > buffer.byteLength) broken();
    return this.keep(new type(buffer, offset, length / size));
  }
  error() {
    const id = this.keep(undefined) ?? this.seen.length - 1;
    let type = Error, message, stack, caused = false, cause;
    for (;;) {
      const t = this.tag();
      if (t === ERROR_END) break;
      if (t === code('m')) message = this.string();
      else if (t === code('s')) stack = this.string();
      else if (t === code('c')) { caused = true; cause = this.value(); }
      else type = errorTags[String.fromCharCode(t)] ?? broken();
    }
    const e = new type(message);
    if (message === undefined) delete e.message;
    const first = head(type.name, message);
    if (stack !== undefined) Object.defineProperty(e, 'stack', { value: stack.startsWith(first) ? stack.slice(first.length) : stack, configurable: true, writable: true });
    if (caused) Object.defineProperty(e, 'cause', { value: cause, configurable: true, writable: true });
    return this.seen[id] = e;
  }
}

function serialize(v, hosts) {
  const w = new Writer(hosts);
  w.value(v);
  return w.done();
}
function deserialize(buffer, hosts) {
  const r = new Reader(buffer, hosts);
  return r.value();
}
// transferred takes the buffers out of a transfer list, once all is written.
function detach(list) { for (const v of list) if (v instanceof ArrayBuffer) v.transfer(); }

function structuredClone(v, options) {
  const transfer = options?.transfer ?? [];
  const bytes = serialize(v);
  detach(transfer);
  return deserialize(bytes);
}
module.exports = { serialize, deserialize, detach, structuredClone, DataCloneError, unclonable };
})
