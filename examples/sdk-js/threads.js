// The course's program: two workers sort a list each.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (isMainThread) {
  console.log(`main thread: ${isMainThread}, process ${process.pid}`);
  for (const numbers of [[1, 4, 2, 0], [6, 4, 5, 2]]) {
    const worker = new Worker(__filename, { workerData: numbers });
    worker.on('message', (message) => console.log(message));
    worker.on('error', (error) => console.error(error));
  }
} else {
  parentPort.postMessage(`worker: main thread: ${isMainThread}, process ${process.pid}, sorted ${workerData.sort()}`);
}
