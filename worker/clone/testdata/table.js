// The values that structured clone has to bring through unharmed, for the tests of
// package clone.
//
//   node table.js write           prints {name: base64 of v8.serialize}
//   node table.js check <answers  reads {name: {exact: base64, natural: base64}} and
//                                 prints {name: what differs from structuredClone}
'use strict';
const v8 = require('v8');
const util = require('util');

const cases = {
  undefined: () => undefined,
  null: () => null,
  booleans: () => [true, false],
  integers: () => [0, 1, -1, 63, 64, -64, -65, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)],
  'big numbers': () => [2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53) - 2, 1e21, 1e300],
  fractions: () => [0.1, -1.5, 5e-324, 1.7976931348623157e308],
  'minus zero': () => [-0, 0],
  'not numbers': () => [NaN, Infinity, -Infinity],
  bigints: () => [0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 2n ** 200n + 12345n],
  'empty string': () => '',
  ascii: () => 'hello',
  latin1: () => 'h\u00e9llo \u00ff \u0080',
  'two bytes': () => ['\u20ac', 'a\u20ac', 'ab\u20ac\u00e9'],
  emoji: () => '\u{1f680} and \u{10ffff}',
  'lone surrogates': () => ['\ud800', 'a\udfffb', '\udc00\ud800', '\ud83d'],
  'nul in string': () => 'a\0b',
  'long string': () => 'x'.repeat(100000) + '\u20ac',
  date: () => [new Date(0), new Date(1700000000123), new Date(-1), new Date(8.64e15), new Date(-8.64e15)],
  'invalid date': () => new Date(NaN),
  'boxed numbers': () => [Object(1), Object(-0), Object(NaN), Object(1.5)],
  'boxed strings': () => [Object(''), Object('a'), Object('\u20ac')],
  'boxed booleans': () => [Object(true), Object(false)],
  'boxed bigint': () => [Object(5n), Object(-(2n ** 70n))],
  regexp: () => [/a+/, /b/gimsuy, /\u20ac\//d, new RegExp('')],
  'empty object': () => ({}),
  object: () => ({ b: 1, a: { c: [1, 'x', null] }, 'not an identifier': undefined }),
  'keys that are numbers': () => ({ 2: 'b', 1: 'a', 4294967294: 'c', 4294967295: 'd', 2147483648: 'e', x: 1, '-1': 2, '01': 3, 1.5: 4 }),
  'keys of all sorts': () => ({ '': 1, '\u00e9': 2, '\u20ac': 3, '\ud800': 4 }),
  'key __proto__': () => JSON.parse('{"__proto__": 1, "constructor": 2}'),
  'many keys': () => Object.fromEntries(Array.from({ length: 300 }, (_, i) => ['k' + i, i])),
  'instance of a class': () => new (class A { constructor() { this.x = 1; } })(),
  'empty array': () => [],
  'dense array': () => [1, 'a', [2, [3]], undefined, null],
  'array of doubles': () => [1.5, 2, NaN],
  'array with holes': () => [1, , 3, ,],
  'array of holes': () => new Array(5),
  'filled array': () => { const a = new Array(3); for (let i = 0; i < 3; i++) a[i] = { i }; return a; },
  'filled array in itself': () => { const a = new Array(3); a[0] = a; a[1] = [a]; a[2] = { a }; return a; },
  'huge sparse array': () => { const a = []; a[1e9] = 'far'; a[5] = 1; return a; },
  'array with names': () => { const a = [1, 2]; a.name = 'x'; a['-1'] = 3; return a; },
  'array with names in itself': () => { const a = [1]; a.push(a, { a }); a.self = a; return a; },
  'array with holes in itself': () => { const a = [, 1]; a[4] = a; a[5] = [a]; return a; },
  'many arrays that become others': () => Array.from({ length: 20 }, (_, i) => { const a = new Array(2); a[0] = a; if (i % 3) a[1] = i; if (i % 5 === 0) a.x = a; return a; }),
  map: () => new Map([[1, 'a'], ['1', 'b'], [NaN, 'c'], [null, undefined], [{ k: 1 }, new Map()], [-0, 'zero'], [5n, 'big'], [true, 'yes']]),
  'map in itself': () => { const m = new Map(); m.set(m, m); m.set('x', [m]); return m; },
  'keys that look alike': () => new Map([[{}, 1], [{}, 2], [[], 3], [[], 4], [new Date(0), 5]]),
  set: () => new Set([1, '1', NaN, undefined, null, [1], new Set()]),
  'set in itself': () => { const s = new Set(); s.add(s); return s; },
  'cyclic object': () => { const o = { a: 1 }; o.self = o; o.list = [o, { o }]; return o; },
  'shared references': () => { const x = { x: 1 }, l = [1], m = new Map(); return { a: x, b: x, c: [x, l, l, m], m }; },
  'shared date': () => { const d = new Date(5); return [d, d]; },
  'shared boxed and regexp': () => { const n = Object(1), r = /a/; return [n, r, n, r]; },
  buffer: () => Buffer.from('some bytes'),
  'array buffer': () => [new ArrayBuffer(0), new Uint8Array([1, 2, 3]).buffer],
  'shared array buffer': () => { const b = new ArrayBuffer(4); return [b, b]; },
  'resizable buffer': () => new ArrayBuffer(3, { maxByteLength: 100 }),
  int8: () => new Int8Array([-128, 0, 127]),
  uint8: () => new Uint8Array([0, 255]),
  clamped: () => new Uint8ClampedArray([0, 255]),
  int16: () => new Int16Array([-32768, 1]),
  uint16: () => new Uint16Array([65535, 1]),
  int32: () => new Int32Array([-(2 ** 31), 1]),
  uint32: () => new Uint32Array([2 ** 32 - 1, 1]),
  float32: () => new Float32Array([1.5, NaN, -0]),
  float64: () => new Float64Array([1.1, NaN, -0, Infinity]),
  bigint64: () => new BigInt64Array([-(2n ** 63n), 1n]),
  biguint64: () => new BigUint64Array([2n ** 64n - 1n]),
  'data view': () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
  'empty views': () => [new Uint8Array(0), new Float64Array(0), new DataView(new ArrayBuffer(0))],
  'shared view': () => { const v = new Int32Array([1, 2]); return [v, v]; },
  error: () => new Error('message'),
  'kinds of errors': () => [new EvalError('a'), new RangeError('b'), new ReferenceError('c'), new SyntaxError('d'), new TypeError('e'), new URIError('f')],
  'error without message': () => new TypeError(),
  'error without stack': () => { const e = new Error('m'); e.stack = ''; return e; },
  'error with cause': () => new Error('outer', { cause: new TypeError('inner', { cause: { why: [1] } }) }),
  'deep': () => { let o = 1; for (let i = 0; i < 500; i++) o = i % 2 ? [o] : { o }; return o; },
  'many objects': () => Array.from({ length: 2000 }, (_, i) => ({ id: i, name: 'n' + i, tags: ['a', 'b'], at: new Date(i) })),
};

// same says whether b has the form of a, with the same things shared: null, or
// where it differs.
function same(a, b, path, seen, shared) {
  if (Object.is(a, b)) return null;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return `${path}: ${String(a)} became ${String(b)}`;
  if (seen.has(a)) return seen.get(a) === b ? null : `${path}: no longer the same as before`;
  if (seen.has(b)) return `${path}: has become the same as another`;
  seen.set(a, b).set(b, a);
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return `${path}: another prototype`;
  if (ArrayBuffer.isView(a)) {
    // v8.serialize writes of a view's buffer what the view sees.
    if (!shared) return util.isDeepStrictEqual(a, b) ? null : `${path}: ${util.inspect(a)} became ${util.inspect(b)}`;
    if (a.byteOffset !== b.byteOffset || a.byteLength !== b.byteLength) return `${path}: another part of the buffer`;
    return same(a.buffer, b.buffer, path + '.buffer', seen, shared);
  }
  if (a instanceof ArrayBuffer) {
    if (a.maxByteLength !== b.maxByteLength || a.resizable !== b.resizable) return `${path}: another maximum`;
    return Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0 ? null : `${path}: other bytes`;
  }
  // Two invalid dates are not equal.
  if (a instanceof Date && isNaN(a) && isNaN(b)) return null;
  // What has no properties; the others are compared one by one.
  const leaf = !Array.isArray(a) && ![Object.prototype, Map.prototype, Set.prototype].includes(Object.getPrototypeOf(a));
  if (leaf && !util.isDeepStrictEqual(a, b)) return `${path}: ${util.inspect(a)} became ${util.inspect(b)}`;
  const list = (o) => [...Reflect.ownKeys(o)].filter((k) => k !== 'stack');
  const [ka, kb] = [list(a), list(b)];
  if (ka.join() !== kb.join()) return `${path}: keys ${ka} became ${kb}`;
  for (const k of ka) {
    const d = same(a[k], b[k], `${path}.${String(k)}`, seen, shared);
    if (d) return d;
  }
  if (a instanceof Error && a.stack !== b.stack) return `${path}: another stack`;
  if (a instanceof Map || a instanceof Set) {
    const d = same([...a], [...b], path + '{}', seen, shared);
    if (d) return d;
  }
  return null;
}

const values = {};
for (const [name, make] of Object.entries(cases)) values[name] = make();

if (process.argv[2] === 'write') {
  const out = {};
  for (const [name, v] of Object.entries(values)) {
    out[name] = v8.serialize(v).toString('base64');
  }
  // Views that V8 writes itself, which keep their buffer.
  const b = new Uint8Array(16).buffer;
  const s = new v8.Serializer();
  s.writeHeader();
  s.writeValue([b, new Uint8Array(b, 1, 2), new Int32Array(b, 4), new DataView(b)]);
  out['views of one buffer'] = s.releaseBuffer().toString('base64');
  if (new ArrayBuffer(1, { maxByteLength: 2 }).resizable) {
    const r = new ArrayBuffer(8, { maxByteLength: 16 });
    const s = new v8.Serializer();
    s.writeHeader();
    s.writeValue([new Uint8Array(r), new Uint16Array(r, 2, 2), r]);
    out['views of a resizable buffer'] = s.releaseBuffer().toString('base64');
  }
  process.stdout.write(JSON.stringify(out));
} else {
  const b = new Uint8Array(16).buffer;
  values['views of one buffer'] = [b, new Uint8Array(b, 1, 2), new Int32Array(b, 4), new DataView(b)];
  const r = new ArrayBuffer(8, { maxByteLength: 16 });
  values['views of a resizable buffer'] = [new Uint8Array(r), new Uint16Array(r, 2, 2), r];
  const answers = JSON.parse(require('fs').readFileSync(0));
  const out = {};
  for (const [name, answer] of Object.entries(answers)) {
    const note = (mode, f) => {
      let d;
      try {
        d = f(v8.deserialize(Buffer.from(answer[mode], 'base64')));
      } catch (e) {
        d = e.message;
      }
      if (d) out[`${name} (${mode})`] = d;
    };
    // A stack is made when it is first read; both sides then have that of value.
    const want = structuredClone(values[name]);
    const errors = name.includes('error');
    note('exact', (got) => errors ? sameErrors(want, got) : same(want, got, 'value', new Map(), name.startsWith('views of')));
    note('natural', (got) => errors ? sameErrors(want, got) : util.isDeepStrictEqual(want, got) || name === 'invalid date' && isNaN(got) ? null : `${util.inspect(want)} became ${util.inspect(got)}`);
  }
  process.stdout.write(JSON.stringify(out));
}

// sameErrors leaves the stack out, which is not that of the other process.
function sameErrors(a, b) {
  const plain = (v, seen = new Map()) => {
    if (typeof v !== 'object' || v === null) return v;
    if (seen.has(v)) return `#${seen.get(v)}`;
    seen.set(v, seen.size);
    if (v instanceof Error) {
      return { name: v.name, type: v.constructor.name, message: v.message, own: Reflect.ownKeys(v).includes('message'),
        stack: v.stack === '' ? '' : typeof v.stack, cause: 'cause' in v ? plain(v.cause, seen) : 'none' };
    }
    return Array.isArray(v) ? v.map((e) => plain(e, seen)) : Object.fromEntries(Object.entries(v).map(([k, e]) => [k, plain(e, seen)]));
  };
  const [x, y] = [JSON.stringify(plain(a)), JSON.stringify(plain(b))];
  return x === y ? null : `${x} became ${y}`;
}
