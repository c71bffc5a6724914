// A server that knows nothing of signals; each answer takes DELAY ms.
'use strict';
const delay = Number(process.env.DELAY || 0);
const text = `process ${process.pid}\n`;
require('node:http').createServer((request, response) => {
  if (delay === 0) response.end(text);
  else setTimeout(() => response.end(text), delay);
}).listen(process.env.PORT);
