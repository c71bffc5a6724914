const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (isMainThread) {
  console.log('the same process:', process.pid > 0);
  const pids = [], lists = [];
  let left = 2;
  for (const list of [[1, 4, 2, 0], [6, 4, 5, 2]]) {
    const w = new Worker(__filename, { workerData: list });
    w.on('message', ({ pid, sorted }) => { pids.push(pid); lists.push(sorted); });
    w.on('exit', (code) => {
      if (--left === 0) {
        console.log(pids.every((p) => p === process.pid), code);
        console.log(lists.sort((a, b) => a[0] - b[0]));
      }
    });
  }
} else {
  parentPort.postMessage({ pid: process.pid, sorted: workerData.sort() });
}
