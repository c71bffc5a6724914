// server.js with manners: it says when it is ready and ends by itself.
//
//   pace start graceful.js -i 2 --wait-ready
//   pace reload graceful
//
// With a handler for the stop signal (SIGINT unless --kill-signal says otherwise)
// the app decides what is finished first: requests in flight, a queue, a database
// connection. It has --kill-timeout (1.6 s) for that.
'use strict';

const http = require('node:http');

const port = process.env.PORT || 3000;

const server = http.createServer((request, response) => {
  // A handler that waits for something else, as most do: 300 ms by default.
  const url = new URL(request.url, 'http://localhost');
  const ms = Number(url.searchParams.get('ms') || 300);
  setTimeout(() => response.end(`process ${process.pid} after ${ms} ms\n`), ms);
});

server.listen(port, () => {
  console.log(`process ${process.pid} listens on port ${port}`);
  if (process.send) process.send('ready'); // only under a manager is there somebody to tell
});

process.on('SIGINT', () => {
  console.log(`process ${process.pid} finishes its requests`);
  // New connections are refused from now on, idle ones are closed, and the
  // callback runs when the last request has been answered.
  server.close(() => {
    console.log(`process ${process.pid} is done`);
    process.exit(0);
  });
});
