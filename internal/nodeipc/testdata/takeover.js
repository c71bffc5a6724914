// A worker that keeps its channel busy in every way while daemons come and go.
'use strict';
const http = require('http');
let heard = 0;
let churn = 0;
let handles = 0;
let error = '';

http.createServer((req, res) => {
  if (req.url === '/state') return res.end(JSON.stringify({ pid: process.pid, heard, churn, handles, error }));
  res.end('ok');
}).listen(+process.env.PORT, '127.0.0.1');

process.on('message', (m) => {
  if (typeof m.n !== 'number' || m.pad.length !== m.size) error = 'message torn';
  heard++;
});

let n = 0;
setInterval(() => {
  n++;
  const size = n % 50 ? (n * 79) % 1000 : 40000;
  if (n % 200 === 0) process.send({ huge: 'x'.repeat(2 << 20) }); // more than the socket holds: may be lost
  process.send({ worker: process.env.NODE_APP_INSTANCE, n, pad: 'x'.repeat(size) });
}, 4);

// Listens and closes again and again.
(function again() {
  const s = http.createServer();
  s.on('error', (e) => { error = 'listen: ' + e.code; });
  s.listen(0, '127.0.0.1', () => {
    churn++;
    setTimeout(() => s.close(() => setTimeout(again, 20)), 1);
  });
})();

process.on('disconnect', () => console.log('channel lost'));
