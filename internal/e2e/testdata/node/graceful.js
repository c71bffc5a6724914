// The same with a handler for SIGINT: it finishes what it has and exits.
'use strict';
const delay = Number(process.env.DELAY || 0);
const text = `process ${process.pid}\n`;
const server = require('node:http').createServer((request, response) => {
  if (delay === 0) response.end(text);
  else setTimeout(() => response.end(text), delay);
}).listen(process.env.PORT);
process.on('SIGINT', () => server.close(() => process.exit(0)));
