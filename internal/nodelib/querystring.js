// querystring: parse and stringify.
'use strict';
(function (module) {
const unescape = (s) => { try { return decodeURIComponent(s); } catch { return s; } };
const parse = (s, sep = '&', eq = '=') => {
  const r = Object.create(null);
  for (const part of String(s).split(sep)) {
    if (part === '') continue;
    const i = part.indexOf(eq), text = (x) => unescape(x.replaceAll('+', ' '));
    const k = text(i < 0 ? part : part.slice(0, i)), v = i < 0 ? '' : text(part.slice(i + eq.length));
    r[k] = k in r ? [].concat(r[k], v) : v;
  }
  return r;
};
const value = (v) => (['string', 'number', 'bigint', 'boolean'].includes(typeof v) ? encodeURIComponent(v) : '');
const stringify = (o, sep = '&', eq = '=') => Object.entries(o ?? {}).flatMap(([k, v]) => [].concat(v).map((x) => encodeURIComponent(k) + eq + value(x))).join(sep);
module.exports = { parse, stringify, decode: parse, encode: stringify, escape: encodeURIComponent, unescape };
})
