const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');

const cases = {
  thrown() { throw new TypeError('wrong'); },
  later() { setTimeout(() => { throw new RangeError('late'); }, 1); },
  rejected() { Promise.reject(new Error('refused')); },
  handled() { const p = Promise.reject(new Error('no')); p.catch(() => parentPort.postMessage('handled in time')); },
  notAnError() { throw { code: 42 }; },
  exit() { process.on('exit', (code) => parentPort.postMessage(`exiting with ${code}`)); process.exit(3); },
  exitCode() { process.exitCode = 4; },
  inFinally() { try { process.exit(5); } finally { parentPort.postMessage('finally runs'); } },
  caught() { process.on('uncaughtException', (e) => parentPort.postMessage('caught ' + e.message)); setImmediate(() => { throw new Error('x'); }); },
  unhandled() { process.on('unhandledRejection', (e) => parentPort.postMessage('unhandled ' + e.message)); Promise.reject(new Error('y')); },
  syntax() { new Worker('let = ', { eval: true }).on('error', (e) => parentPort.postMessage(e.name)); },
  missing() { require('./not-there'); },
  nested() { new Worker('throw new Error("from below")', { eval: true }); },
  queue() { queueMicrotask(() => { throw new Error('micro'); }); },
};

if (isMainThread) {
  const names = Object.keys(cases);
  (function next() {
    const name = names.shift();
    if (!name) return;
    const w = new Worker(__filename, { workerData: name }), out = [];
    w.on('message', (m) => out.push(m));
    w.on('error', (e) => out.push(e instanceof Error ? `${e.constructor.name} ${e.name}: ${e.message.split('\n')[0].replace(/Cannot find module.*/, 'Cannot find module')} ${typeof e.stack} ${e.code}` : e));
    w.on('exit', (code) => { console.log(name, out, code); next(); });
  })();
} else {
  cases[workerData]();
}
