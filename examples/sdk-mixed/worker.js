// A worker in Node of the Go primary beside: Node's own cluster module, nothing else.
const cluster = require('node:cluster');
const http = require('node:http');

http.createServer((request, response) => {
	response.end(`process ${process.pid}, in Node\n`);
}).listen(process.env.PORT || 3000, () => {
	process.send(`Node ${process.version}, worker ${cluster.worker.id}`);
});
