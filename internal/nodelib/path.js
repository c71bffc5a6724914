// path, for POSIX alone.
'use strict';
(function (module, exports, { fault, info }) {
const check = (s, what) => {
  if (typeof s !== 'string') throw fault('ERR_INVALID_ARG_TYPE', `The "${what}" argument must be of type string. Received ${s === null || s === undefined ? s : `type ${typeof s}`}`);
};
// clean resolves "." and ".."; above the start of a relative path ".." stays.
function clean(s, absolute) {
  const out = [];
  for (const part of s.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') out.push(part);
    else if (out.length && out[out.length - 1] !== '..') out.pop();
    else if (!absolute) out.push('..');
  }
  return out.join('/');
}
const path = {
  sep: '/', delimiter: ':',
  resolve(...parts) {
    let s = '';
    for (let i = parts.length - 1; i >= 0 && !s.startsWith('/'); i--) {
      check(parts[i], `paths[${i}]`);
      if (parts[i] !== '') s = s === '' ? parts[i] : `${parts[i]}/${s}`;
    }
    if (!s.startsWith('/')) s = `${info.dir}/${s}`;
    return '/' + clean(s, true);
  },
  normalize(s) {
    check(s, 'path');
    if (s === '') return '.';
    const absolute = s.startsWith('/');
    let r = clean(s, absolute);
    if (r === '' && !absolute) r = '.';
    if (r !== '' && s.endsWith('/')) r += '/';
    return absolute ? '/' + r : r;
  },
  isAbsolute(s) { check(s, 'path'); return s.startsWith('/'); },
  join(...parts) {
    parts.forEach((p) => check(p, 'path'));
    const s = parts.filter((p) => p !== '').join('/');
    return s === '' ? '.' : path.normalize(s);
  },
  relative(from, to) {
    check(from, 'from');
    check(to, 'to');
    const a = path.resolve(from).split('/').filter(Boolean), b = path.resolve(to).split('/').filter(Boolean);
    let n = 0;
    while (n < a.length && n < b.length && a[n] === b[n]) n++;
    return [...a.slice(n).map(() => '..'), ...b.slice(n)].join('/');
  },
  toNamespacedPath: (s) => s,
  dirname(s) {
    check(s, 'path');
    if (s === '') return '.';
    const t = s.replace(/\/+$/, '');
    if (t === '') return '/';
    const i = t.lastIndexOf('/');
    if (i < 0) return '.';
    return i === 0 ? '/' : i === 1 && t[0] === '/' ? '//' : t.slice(0, i);
  },
  basename(s, suffix) {
    check(s, 'path');
    if (suffix !== undefined) check(suffix, 'suffix');
    if (suffix !== undefined && s === suffix) return '';
    const t = s.replace(/\/+$/, '');
    const b = t.slice(t.lastIndexOf('/') + 1);
    return suffix && b !== suffix && b.endsWith(suffix) ? b.slice(0, -suffix.length) : b;
  },
  extname(s) {
    check(s, 'path');
    const b = path.basename(s), i = b.lastIndexOf('.');
    return i <= 0 || b === '..' ? '' : b.slice(i);
  },
  format(o) {
    if (o === null || typeof o !== 'object') throw fault('ERR_INVALID_ARG_TYPE', 'The "pathObject" argument must be of type object.');
    const dir = o.dir || o.root, ext = o.ext ? (o.ext.startsWith('.') ? o.ext : `.${o.ext}`) : '';
    const base = o.base || `${o.name || ''}${ext}`;
    return !dir ? base : dir === o.root ? `${dir}${base}` : `${dir}/${base}`;
  },
  parse(s) {
    check(s, 'path');
    const root = s.startsWith('/') ? '/' : '';
    const base = path.basename(s), ext = path.extname(s);
    const t = s.replace(/\/+$/, ''), i = t.lastIndexOf('/');
    const dir = i < 0 ? root : i === 0 ? '/' : t.slice(0, i);
    return { root, dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
  },
  matchesGlob() { throw fault('ERR_PACELINE_UNAVAILABLE', 'path.matchesGlob is not available in a config file', Error); },
};
path.posix = path;
path.win32 = new Proxy({}, { get() { throw fault('ERR_PACELINE_UNAVAILABLE', 'path.win32 is not available in a config file', Error); } });
module.exports = path;
})
