import { Worker, isMainThread, parentPort, workerData, threadId } from 'node:worker_threads';
import { once } from 'events';
import { fileURLToPath } from 'node:url';

if (isMainThread) {
  const w = new Worker(new URL(import.meta.url), { workerData: [3, 1, 2] });
  const [sorted] = await once(w, 'message');
  const [code] = await once(w, 'exit');
  console.log(sorted, code, threadId, fileURLToPath(import.meta.url) === import.meta.filename);
} else {
  await Promise.resolve();
  parentPort.postMessage(workerData.sort());
}
