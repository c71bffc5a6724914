// An HTTP server as the tests need it. PORT, HOST, DELAY (ms per answer), GRACEFUL (has a SIGINT handler).
'use strict';
const http = require('http');
const delay = +process.env.DELAY || 0;

const server = http.createServer((req, res) => {
  if (req.url.startsWith('/block')) {
    require('fs').writeSync(1, 'blocks\n'); // in any case before it does
    const end = Date.now() + +req.url.split('=')[1];
    while (Date.now() < end);
  }
  if (delay) setTimeout(() => res.end(String(process.pid)), delay);
  else res.end(String(process.pid));
});
if (process.env.MAX) server.maxConnections = +process.env.MAX;
server.listen(+process.env.PORT || 0, process.env.HOST, () => {
  if (process.send) process.send({ port: server.address().port });
});

if (process.env.GRACEFUL) {
  process.on('SIGINT', () => {
    server.close(() => {
      console.log('cleaned up');
      process.exit(0);
    });
  });
}
