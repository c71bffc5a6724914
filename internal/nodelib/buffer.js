// buffer: Buffer as configs use it. Bytes cross to Go as a string with one
// character for each byte.
'use strict';
(function (module, exports, { host, fault }) {
const bytes = (s) => { const a = new Uint8Array(s.length); for (let i = 0; i < s.length; i++) a[i] = s.charCodeAt(i); return a; };
const chars = (a) => { let s = ''; for (let i = 0; i < a.length; i += 4096) s += String.fromCharCode(...a.subarray(i, i + 4096)); return s; };
class Buffer extends Uint8Array {
  static from(v, encoding, length) {
    if (typeof v === 'string') return view(bytes(host('encode', v, String(encoding ?? 'utf8').toLowerCase())));
    if (v instanceof ArrayBuffer) return new Buffer(v, encoding, length);
    if (ArrayBuffer.isView(v) || Array.isArray(v)) return view(Uint8Array.from(v));
    if (v?.type === 'Buffer' && Array.isArray(v.data)) return view(Uint8Array.from(v.data));
    throw fault('ERR_INVALID_ARG_TYPE', 'Buffer.from needs a string, an array or a Buffer');
  }
  static alloc(n, fill = 0, encoding) { return view(new Uint8Array(n)).fill(fill, 0, n, encoding); }
  static allocUnsafe(n) { return view(new Uint8Array(n)); }
  static isBuffer(v) { return v instanceof Buffer; }
  static isEncoding(e) { return /^(utf-?8|hex|base64|base64url|latin1|binary|ascii|ucs-?2|utf-?16le)$/i.test(e); }
  static byteLength(v, encoding) { return typeof v === 'string' ? Buffer.from(v, encoding).length : v.byteLength; }
  static concat(list, total = list.reduce((n, b) => n + b.length, 0)) {
    const r = Buffer.alloc(total);
    let at = 0;
    for (const b of list) { r.set(b.subarray(0, Math.max(0, total - at)), at); at += b.length; if (at >= total) break; }
    return r;
  }
  static compare(a, b) {
    for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
    return Math.sign(a.length - b.length);
  }
  toString(encoding = 'utf8', from = 0, to = this.length) { return host('decode', chars(Uint8Array.prototype.subarray.call(this, from, to)), String(encoding).toLowerCase()); }
  toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
  equals(o) { return Buffer.compare(this, o) === 0; }
  compare(o) { return Buffer.compare(this, o); }
  subarray(from, to) { const a = Uint8Array.prototype.subarray.call(new Uint8Array(this.buffer, this.byteOffset, this.byteLength), from, to); return view(a); }
  slice(from, to) { return this.subarray(from, to); }
  fill(v, from = 0, to = this.length, encoding) {
    if (typeof v !== 'string') return super.fill(v, from, to);
    const b = Buffer.from(v, encoding);
    for (let i = from; b.length && i < to; i++) this[i] = b[(i - from) % b.length];
    return this;
  }
  write(s, at = 0) { const b = Buffer.from(s).subarray(0, this.length - at); this.set(b, at); return b.length; }
  indexOf(v, from = 0) { return typeof v === 'number' ? super.indexOf(v, from) : chars(this).indexOf(chars(Buffer.from(v)), from); }
  includes(v, from = 0) { return this.indexOf(v, from) >= 0; }
}
const view = (a) => new Buffer(a.buffer, a.byteOffset, a.byteLength);
const binary = (s) => {
  s = String(s);
  for (let i = 0; i < s.length; i++) if (s.charCodeAt(i) > 255) throw new RangeError('btoa takes characters up to U+00FF');
  return s;
};
module.exports = {
  Buffer, kMaxLength: 2 ** 31, constants: { MAX_LENGTH: 2 ** 31, MAX_STRING_LENGTH: 2 ** 29 },
  atob: (s) => host('encode', String(s), 'base64'),
  btoa: (s) => host('decode', binary(s), 'base64'),
  get TextEncoder() { return globalThis.TextEncoder; }, get TextDecoder() { return globalThis.TextDecoder; },
};
})
