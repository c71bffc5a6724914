const { Worker, isMainThread, parentPort } = require('worker_threads');
const v8 = require('v8');

function value() {
  const shared = { n: 1 }, buffer = new ArrayBuffer(16);
  const v = {
    list: [undefined, null, true, false, 0, -0, 1, -1, 2 ** 30, -(2 ** 30), 2 ** 31, 1.5, NaN, Infinity, -Infinity, Number.MAX_SAFE_INTEGER],
    strings: ['', 'plain', 'h\u00e9llo', '\u20ac and \u{1f600}', '\ud800 alone', 'x'.repeat(300), '\u20ac'.repeat(200)],
    bigints: [0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 123456789012345678901234567890n],
    holes: [1, , 3], sparse: Object.assign([], { 5000: 'far' }), named: Object.assign([1, 2], { name: 'n' }),
    date: new Date(1700000000000), never: new Date(NaN), regexp: /a\/b.c/giu,
    boxed: [new Number(1.5), new String('s'), new Boolean(false), Object(5n)],
    map: new Map([[1, 'one'], [shared, new Map([['in', shared]])]]), set: new Set([1, 'a', shared]),
    shared, again: shared, buffer, bytes: new Uint8Array(buffer, 4, 8), words: new Int16Array(buffer), view: new DataView(buffer, 2, 4),
    floats: new Float64Array([1.5, -2.25]), big: new BigInt64Array([-5n]),
    error: new RangeError('out', { cause: new Error('inner') }),
    '7': 'number', __proto__key: 1, get computed() { return 'got'; }, [Symbol('s')]: 'left out',
  };
  v.bytes[0] = 200;
  v.self = v;
  v.map.set('map', v.map);
  return v;
}

// describe tells everything about a value, in words that no inspect decides.
function describe(root) {
  const seen = new Map(), out = [];
  (function walk(path, v) {
    if (typeof v === 'string') { out.push(`${path}: string ${Array.from({ length: Math.min(v.length, 12) }, (_, i) => v.charCodeAt(i).toString(16))} of ${v.length}`); return; }
    if (v === null || typeof v !== 'object') { out.push(`${path}: ${typeof v} ${Object.is(v, -0) ? '-0' : String(v)}`); return; }
    if (seen.has(v)) { out.push(`${path}: is ${seen.get(v)}`); return; }
    seen.set(v, path);
    const type = Object.prototype.toString.call(v);
    let extra = '';
    if (v instanceof Date) extra = v.getTime();
    else if (v instanceof RegExp) extra = String(v);
    else if (v instanceof Error) { out.push(`${path}: ${v.name} ${v.message} ${v instanceof RangeError}`); if ('cause' in v) walk(`${path}.cause`, v.cause); return; }
    else if (v instanceof ArrayBuffer) extra = Array.from(new Uint8Array(v));
    else if (ArrayBuffer.isView(v)) { out.push(`${path}: ${type} at ${v.byteOffset} of ${v.byteLength}`); walk(`${path}.buffer`, v.buffer); return; }
    else if (v instanceof Map) { out.push(`${path}: ${type} ${v.size}`); let i = 0; for (const [k, x] of v) { walk(`${path}.key${i}`, k); walk(`${path}.value${i++}`, x); } return; }
    else if (v instanceof Set) { out.push(`${path}: ${type} ${v.size}`); let i = 0; for (const x of v) walk(`${path}.${i++}`, x); return; }
    else if ('valueOf' in v && typeof v.valueOf() !== 'object') extra = `${typeof v.valueOf()} ${v.valueOf()}`;
    out.push(`${path}: ${type} ${extra}${Array.isArray(v) ? v.length : ''}`);
    for (const k of Object.keys(v)) walk(`${path}.${k}`, v[k]);
  })('v', root);
  return out.join('\n');
}

if (isMainThread) {
  console.log(describe(structuredClone(value())));
  console.log(describe(v8.deserialize(v8.serialize({ a: [1, 'x', new Map()] }))));
  for (const bad of [() => {}, Symbol('s'), { f() {} }, new WeakMap(), Promise.resolve()]) {
    try { structuredClone(bad); console.log('cloned'); } catch (e) { console.log(e.name, e.code, e.message); }
  }
  const buffer = new ArrayBuffer(8);
  const moved = structuredClone({ buffer }, { transfer: [buffer] });
  console.log(buffer.byteLength, moved.buffer.byteLength);

  const w = new Worker(__filename);
  w.on('message', (v) => { console.log(describe(v) === describe(value())); w.terminate(); });
  w.on('exit', (code) => console.log('exit', code));
  w.postMessage(value());
  try { w.postMessage({ deep: [() => {}] }); } catch (e) { console.log(e.name); }
} else {
  parentPort.on('message', (v) => parentPort.postMessage(v));
}
