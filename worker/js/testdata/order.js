console.log('start');
setTimeout(() => {
  console.log('timeout 40');
  setTimeout(() => console.log('timeout of a timeout'), 1);
  setImmediate(() => { console.log('immediate'); Promise.resolve().then(() => console.log('after immediate')); });
}, 40);
setTimeout((a, b) => console.log('timeout 1', a, b), 1, 'x', 'y');
const cleared = setTimeout(() => console.log('never'), 1);
clearTimeout(cleared);
Promise.resolve().then(() => console.log('promise'));
queueMicrotask(() => console.log('microtask'));
(async () => { await null; console.log('async'); for await (const x of (async function* () { yield 1; yield 2; })()) console.log('yield', x); })();
let n = 0;
setTimeout(() => {
  const every = setInterval(() => { console.log('interval', ++n); if (n === 3) { clearInterval(every); last(); } }, 5);
}, 200);
setTimeout(() => console.log('unref'), 100000).unref();
function last() {
  import('./lib/module.mjs').then((m) => console.log(m.default, m.named, m.fromCommon));
  const order = [];
  setTimeout(() => { order.push('a'); Promise.resolve().then(() => order.push('a2')); }, 5);
  setTimeout(() => { order.push('b'); setTimeout(() => console.log(order.join(' ')), 300); }, 5);
}
process.on('exit', (code) => console.log('exit', code));
console.log('%s is %d', 'x', 5, [1, 'a', { b: null }], new Map([[1, 2]]));
console.log(typeof require('path').join, require('util').inspect('q'), require('./lib/data.json').x, require('./lib').name, Buffer.from('hi').toString('hex'));
