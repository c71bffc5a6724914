// A server that knows nothing of a primary.
'use strict';
require('http').createServer((q, r) => r.end(JSON.stringify(process.execArgv)))
	.listen(Number(process.env.PORT), '127.0.0.1');
