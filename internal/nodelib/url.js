// url: URL as far as http, file and database addresses need it (no IDNA), and the
// two ways between paths and file URLs.
'use strict';
(function (module, exports, { info, fault, builtin }) {
const ports = { 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21', 'file:': '' };
const special = (p) => p in ports;
const hex = (s) => Array.from(new (builtin('util').TextEncoder)().encode(s), (b) => '%' + b.toString(16).toUpperCase().padStart(2, '0')).join('');
const escape = (s, set) => s.replace(set, hex);
const sets = {
  path: /[\0-\x20"#<>?`{}^]|[^\0-\x7e]+/gu, query: /[\0-\x20"#<>']|[^\0-\x7e]+/gu, plainQuery: /[\0-\x20"#<>]|[^\0-\x7e]+/gu,
  hash: /[\0-\x20"<>`]|[^\0-\x7e]+/gu, user: /[\0-\x20"#<>?`{}/:;=@[\\\]^|]|[^\0-\x7e]+/gu, opaque: /[\0-\x1f]|[^\0-\x7e]+/gu,
};
const invalid = (s) => Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: s });
function dots(path, isSpecial) {
  const out = [];
  const parts = (isSpecial ? path.replaceAll('\\', '/') : path).split('/').slice(1);
  parts.forEach((p, i) => {
    const last = i === parts.length - 1;
    if (/^(\.|%2e)(\.|%2e)$/i.test(p)) { out.pop(); if (last) out.push(''); }
    else if (/^(\.|%2e)$/i.test(p)) { if (last) out.push(''); }
    else out.push(p);
  });
  return '/' + out.join('/');
}
function hostOf(h, isSpecial, input) {
  if (h.startsWith('[')) { if (!/^\[[0-9a-f:.]+\]$/i.test(h)) throw invalid(input); return h.toLowerCase(); }
  if (!isSpecial) { if (/[\0\t\n\r #/<>?@[\\\]^|]/.test(h)) throw invalid(input); return escape(h, sets.opaque); }
  try { h = decodeURIComponent(h).toLowerCase(); } catch { throw invalid(input); }
  if (/[^\x21-\x7e]|[#/:<>?@[\\\]^|%]/.test(h)) throw invalid(input);
  return h;
}
class URL {
  #u;
  #params;
  constructor(input, base) {
    const text = String(input).replace(/^[\0-\x20]+|[\0-\x20]+$/g, '').replace(/[\t\n\r]/g, '');
    const [, scheme, rest] = /^([a-z][a-z0-9+.-]*:)?(.*)$/is.exec(text);
    if (scheme) {
      this.#u = this.#absolute(scheme.toLowerCase(), rest, text);
    } else {
      if (base === undefined) throw invalid(text);
      this.#u = this.#relative(text, new URL(base).#u);
    }
  }
  static canParse(s, b) { try { new URL(s, b); return true; } catch { return false; } }
  static parse(s, b) { try { return new URL(s, b); } catch { return null; } }
  #tail(u, s) {
    const h = s.indexOf('#');
    if (h >= 0) { u.hash = escape(s.slice(h + 1), sets.hash); s = s.slice(0, h); u.hash = u.hash && `#${u.hash}`; }
    const q = s.indexOf('?');
    if (q >= 0) { u.search = escape(s.slice(q + 1), special(u.protocol) ? sets.query : sets.plainQuery); s = s.slice(0, q); u.search = u.search && `?${u.search}`; }
    return s;
  }
  #absolute(protocol, rest, input) {
    const u = { protocol, username: '', password: '', hostname: null, port: '', pathname: '', search: '', hash: '' };
    const isSpecial = special(protocol);
    let s = this.#tail(u, rest);
    if (isSpecial) s = s.replaceAll('\\', '/');
    if (isSpecial && protocol !== 'file:') s = '//' + s.replace(/^\/+/, '');
    if (s.startsWith('//')) {
      const end = s.indexOf('/', 2) < 0 ? s.length : s.indexOf('/', 2);
      let auth = s.slice(2, end);
      s = s.slice(end);
      const at = auth.lastIndexOf('@');
      if (at >= 0) {
        const [user, ...pass] = auth.slice(0, at).split(':');
        u.username = escape(user, sets.user);
        u.password = escape(pass.join(':'), sets.user);
        auth = auth.slice(at + 1);
      }
      const m = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(auth);
      if (!m || Number(m[2] ?? 0) > 65535 || (isSpecial && protocol !== 'file:' && m[1] === '')) throw invalid(input);
      u.hostname = hostOf(m[1], isSpecial, input);
      if (protocol === 'file:' && u.hostname === 'localhost') u.hostname = '';
      u.port = m[2] ? String(Number(m[2])) : '';
      if (u.port === ports[protocol]) u.port = '';
      u.pathname = s === '' && !isSpecial ? '' : dots(escape(s || '/', sets.path), isSpecial);
    } else if (s.startsWith('/') || isSpecial) {
      if (protocol === 'file:') u.hostname = '';
      u.pathname = dots(escape(s.startsWith('/') ? s : `/${s}`, sets.path), isSpecial);
    } else {
      u.pathname = escape(s, sets.opaque);
    }
    return u;
  }
  #relative(text, b) {
    if (!b.pathname.startsWith('/') && !text.startsWith('#')) throw invalid(text);
    if (/^[/\\]{2}/.test(text) && special(b.protocol) || text.startsWith('//')) return this.#absolute(b.protocol, text, text);
    const u = { ...b, hash: '' };
    const next = { protocol: b.protocol, search: '', hash: '' };
    const s = this.#tail(next, text);
    u.hash = next.hash;
    if (s === '') { if (/^[^#]*\?/.test(text)) u.search = next.search; return u; }
    u.search = next.search;
    const isSpecial = special(b.protocol);
    const absolute = s.startsWith('/') || (isSpecial && s.startsWith('\\'));
    u.pathname = dots(escape(absolute ? s : b.pathname.slice(0, b.pathname.lastIndexOf('/') + 1) + s, sets.path), isSpecial);
    return u;
  }
  get href() {
    const u = this.#u;
    const auth = u.username || u.password ? `${u.username}${u.password ? `:${u.password}` : ''}@` : '';
    return u.protocol + (u.hostname === null ? '' : `//${auth}${this.host}`) + u.pathname + u.search + u.hash;
  }
  set href(v) { this.#u = new URL(v).#u; this.#params = undefined; }
  get origin() { return special(this.protocol) && this.protocol !== 'file:' ? `${this.protocol}//${this.host}` : 'null'; }
  get protocol() { return this.#u.protocol; }
  set protocol(v) { const p = String(v).replace(/:.*/, '').toLowerCase() + ':'; if (special(p) === special(this.#u.protocol)) { this.#u.protocol = p; if (this.#u.port === ports[p]) this.#u.port = ''; } }
  get username() { return this.#u.username; }
  set username(v) { this.#u.username = escape(String(v), sets.user); }
  get password() { return this.#u.password; }
  set password(v) { this.#u.password = escape(String(v), sets.user); }
  get host() { return (this.#u.hostname ?? '') + (this.#u.port && `:${this.#u.port}`); }
  set host(v) { const [, h, p] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?/.exec(String(v)); this.hostname = h; if (p) this.port = p; }
  get hostname() { return this.#u.hostname ?? ''; }
  set hostname(v) { try { this.#u.hostname = hostOf(String(v), special(this.#u.protocol), String(v)); } catch { /* ignored, as the standard says */ } }
  get port() { return this.#u.port; }
  set port(v) { const p = /^\d*/.exec(String(v))[0]; if (String(v) === '' || p) this.#u.port = p === '' || p === ports[this.#u.protocol] ? '' : String(Number(p)); }
  get pathname() { return this.#u.pathname; }
  set pathname(v) { if (this.#u.pathname.startsWith('/') || this.#u.hostname !== null) { const s = String(v); this.#u.pathname = dots(escape(s.startsWith('/') ? s : `/${s}`, sets.path), special(this.#u.protocol)); } }
  get search() { return this.#u.search; }
  set search(v) { const s = escape(String(v).replace(/^\?/, ''), special(this.#u.protocol) ? sets.query : sets.plainQuery); this.#u.search = s && `?${s}`; this.#params = undefined; }
  get hash() { return this.#u.hash; }
  set hash(v) { const s = escape(String(v).replace(/^#/, ''), sets.hash); this.#u.hash = s && `#${s}`; }
  get searchParams() {
    return this.#params ??= Object.defineProperty(new URLSearchParams(this.search), changed, { value: (s) => { this.#u.search = s && `?${s}`; } });
  }
  toString() { return this.href; }
  toJSON() { return this.href; }
}
const changed = Symbol('changed');
const form = (s) => escape(s, /[^A-Za-z0-9*._ -]+/gu).replaceAll(' ', '+');
const unform = (s) => {
  s = s.replaceAll('+', ' ');
  const b = builtin('buffer').Buffer;
  return b.from(b.from(s).toString('latin1').replace(/%([0-9a-f]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1').toString();
};
class URLSearchParams {
  #list = [];
  constructor(init = '') {
    if (init !== null && typeof init === 'object') {
      const pairs = typeof init[Symbol.iterator] === 'function' ? [...init] : Object.entries(init);
      this.#list = pairs.map(([k, v]) => [String(k), String(v)]);
    } else {
      for (const part of String(init).replace(/^\?/, '').split('&')) {
        if (part === '') continue;
        const i = part.indexOf('=');
        this.#list.push(i < 0 ? [unform(part), ''] : [unform(part.slice(0, i)), unform(part.slice(i + 1))]);
      }
    }
  }
  #changed() { this[changed]?.(this.toString()); }
  get size() { return this.#list.length; }
  append(k, v) { this.#list.push([String(k), String(v)]); this.#changed(); }
  delete(k, v) { this.#list = this.#list.filter((p) => p[0] !== String(k) || (v !== undefined && p[1] !== String(v))); this.#changed(); }
  get(k) { return this.#list.find((p) => p[0] === String(k))?.[1] ?? null; }
  getAll(k) { return this.#list.filter((p) => p[0] === String(k)).map((p) => p[1]); }
  has(k, v) { return this.#list.some((p) => p[0] === String(k) && (v === undefined || p[1] === String(v))); }
  set(k, v) {
    const i = this.#list.findIndex((p) => p[0] === String(k));
    if (i < 0) this.#list.push([String(k), String(v)]);
    else { this.#list[i][1] = String(v); this.#list = this.#list.filter((p, j) => j <= i || p[0] !== String(k)); }
    this.#changed();
  }
  sort() { this.#list.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)); this.#changed(); }
  forEach(f, self) { for (const [k, v] of this.#list) f.call(self, v, k, this); }
  *entries() { for (const p of this.#list) yield [...p]; }
  *keys() { for (const p of this.#list) yield p[0]; }
  *values() { for (const p of this.#list) yield p[1]; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#list.map(([k, v]) => `${form(k)}=${form(v)}`).join('&'); }
}
module.exports = {
  URL, URLSearchParams,
  fileURLToPath(u) {
    if (typeof u === 'string') u = new URL(u);
    if (!(u instanceof URL)) throw fault('ERR_INVALID_ARG_TYPE', 'The "path" argument must be of type string or an instance of URL.');
    if (u.protocol !== 'file:') throw fault('ERR_INVALID_URL_SCHEME', 'The URL must be of scheme file');
    if (u.hostname !== '') throw fault('ERR_INVALID_FILE_URL_HOST', `File URL host must be "localhost" or empty on ${info.platform}`);
    if (/%2f/i.test(u.pathname)) throw fault('ERR_INVALID_FILE_URL_PATH', 'File URL path must not include encoded / characters');
    return decodeURIComponent(u.pathname);
  },
  pathToFileURL(p) {
    let s = builtin('path').resolve(p);
    if (p.endsWith('/') && s !== '/') s += '/';
    return new URL('file://' + s.replace(/[%\\\n\r\t]/g, hex).replaceAll('?', '%3F').replaceAll('#', '%23'));
  },
  parse(s) {
    let u;
    try { u = new URL(s); } catch { const [, pathname, search, hash] = /^([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(s); return { href: s, protocol: null, host: null, hostname: null, port: null, auth: null, pathname, search: search ?? null, query: search?.slice(1) ?? null, hash: hash ?? null, path: pathname + (search ?? '') }; }
    return {
      href: u.href, protocol: u.protocol, slashes: true, auth: u.username ? decodeURIComponent(u.username) + (u.password && `:${decodeURIComponent(u.password)}`) : null, host: u.host, hostname: u.hostname,
      port: u.port || null, pathname: u.pathname, search: u.search || null, query: u.search.slice(1) || null, hash: u.hash || null, path: u.pathname + u.search,
    };
  },
  format: (u) => (typeof u === 'string' || u instanceof URL ? String(u) : `${u.protocol ? `${u.protocol.replace(/:?$/, ':')}//` : ''}${u.auth ? `${u.auth}@` : ''}${u.host ?? `${u.hostname ?? ''}${u.port ? `:${u.port}` : ''}`}${u.pathname ?? ''}${u.search ?? ''}${u.hash ?? ''}`),
  resolve: (from, to) => String(new URL(to, from)),
};
})
