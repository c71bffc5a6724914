// A single process with a channel: echoes, and sends connections away.
'use strict';
const net = require('net');
process.on('message', (m) => {
  if (m === 'sockets') return sockets();
  if (m === 'big') return process.send('x'.repeat(4 << 20));
  process.send(m);
});
process.on('disconnect', () => process.exit(7));

function sockets() {
  let n = 0;
  const server = net.createServer((c) => {
    process.send({ socket: ++n }, c);
    if (n === 2) {
      server.getConnections(() => {
        server.close(() => process.send({ closed: true }));
      });
    }
  });
  server.listen(0, '127.0.0.1', () => {
    for (let i = 0; i < 2; i++) net.connect(server.address().port, '127.0.0.1').on('error', () => {}).resume();
  });
}
process.send('ready');
