// A worker of any primary: the same as the Go worker of the tests.
'use strict';
const cluster = require('cluster');
const http = require('http');

process.on('message', (m) => process.send({ echo: m, id: cluster.worker ? cluster.worker.id : 0 }));
if (process.env.FAIL) process.exit(7);
http.createServer((q, r) => r.end(String(process.pid)))
	.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));
