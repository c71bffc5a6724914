// The smallest server that shows what a process manager is for.
//
//   node server.js                    one process
//   pace start server.js -i max       one process per CPU, all on the same port
//
// Nothing in it knows about Paceline, about clusters or about signals.
'use strict';

const http = require('node:http');

const port = process.env.PORT || 3000;

// busy keeps the event loop occupied: until it returns, this process can do
// nothing else at all, neither answer a request nor run a timer.
function busy(ms) {
  const end = Date.now() + ms;
  while (Date.now() < end);
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');

  if (url.pathname === '/') {
    response.end(`process ${process.pid}\n`);
    return;
  }
  if (url.pathname === '/timer') {
    const ms = Number(url.searchParams.get('ms') || 9000);
    busy(ms);
    response.end(`process ${process.pid} was busy for ${ms} ms\n`);
    return;
  }
  response.statusCode = 404;
  response.end('not found; try / or /timer?ms=9000\n');
});

server.listen(port, () => {
  console.log(`process ${process.pid} listens on port ${port}`);
});
