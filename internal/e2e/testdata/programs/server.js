// Node's http, as it is. Each answer takes DELAY ms.
'use strict';
const text = `instance ${process.env.NODE_APP_INSTANCE} process ${process.pid}\n`;
const delay = Number(process.env.DELAY || 0);
require('node:http').createServer((request, response) => {
  if (delay === 0) response.end(text);
  else setTimeout(() => response.end(text), delay);
}).listen(process.env.PORT);
