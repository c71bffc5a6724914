const { Worker, isMainThread, parentPort, workerData, MessageChannel, MessagePort, BroadcastChannel, receiveMessageOnPort, threadId, setEnvironmentData, getEnvironmentData } = require('worker_threads');

if (isMainThread) {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage({ a: 1 });
  port1.postMessage('second');
  console.log(receiveMessageOnPort(port2), receiveMessageOnPort(port2), receiveMessageOnPort(port2));
  try { port1.postMessage(port1, [port1]); } catch (e) { console.log(e.name); }
  try { port1.postMessage(port2); } catch (e) { console.log(e.name); }

  setEnvironmentData('color', { name: 'red' });
  const room = new BroadcastChannel('room');
  let said = '';
  room.onmessage = (e) => { said = e.data; room.close(); };

  const w = new Worker(__filename, { workerData: { port: port2, n: 5 }, transferList: [port2], name: 'second' });
  try { port2.postMessage(1); } catch (e) { console.log('sent on a port that is gone'); }
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  w.postMessage({ buffer }, [buffer]);
  console.log('detached', buffer.byteLength);
  let got = 0;
  const lines = { port1: [], worker: [] }; // of two ports, in no order between them
  const done = () => { if (++got === 3) port1.close(); };
  port1.on('message', (m) => { lines.port1.push(m instanceof MessagePort ? 'a port' : m); if (m instanceof MessagePort) { m.once('message', (x) => { lines.port1.push(x); m.close(); done(); }); m.postMessage('hello'); } else done(); });
  port1.on('close', () => { lines.port1.push('closed'); w.postMessage('end'); });
  w.on('message', (m) => { lines.worker.push(m); if (lines.worker.length > 1) done(); });
  w.on('exit', (code) => console.log('exit', code, said, lines));
} else {
  parentPort.postMessage([workerData.n, workerData.port instanceof MessagePort, threadId > 0, getEnvironmentData('color').name]);
  parentPort.on('message', (m) => {
    if (m === 'end') { parentPort.close(); return; }
    parentPort.postMessage([...new Uint8Array(m.buffer)]);
    const { port1, port2 } = new MessageChannel();
    port1.on('message', (x) => { port1.postMessage(x + ' back'); });
    port1.on('close', () => { workerData.port.postMessage('its other end was closed'); new BroadcastChannel('room').postMessage({ from: 'worker' }); setTimeout(() => process.exit(0), 100); });
    workerData.port.postMessage(port2, [port2]);
  });
}
