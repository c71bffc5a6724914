const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (isMainThread && !workerData) {
  (async () => {
    const spin = new Worker('for (;;) {}', { eval: true });
    spin.on('online', async () => {
      console.log('terminated', await spin.terminate(), spin.threadId);
      console.log('again', await spin.terminate());
      const idle = new Worker('require("worker_threads").parentPort.on("message", () => {})', { eval: true });
      idle.on('online', () => { idle.unref(); console.log('left behind'); });
    });
  })();
}
