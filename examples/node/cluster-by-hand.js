// What server.js needs to use several CPUs without a process manager: Node's own
// cluster module. The server itself is unchanged; all of this is around it.
//
//   node cluster-by-hand.js           as many workers as CPUs
//   WORKERS=4 node cluster-by-hand.js
//
// The primary opens the port and deals connections to its workers in turn. Each
// worker runs server.js; its `listen` asks the primary instead of the kernel.
'use strict';

const cluster = require('node:cluster');
const os = require('node:os');

if (cluster.isPrimary) {
  const workers = Number(process.env.WORKERS) || os.availableParallelism();
  console.log(`primary ${process.pid} forks ${workers} workers`);
  for (let n = 0; n < workers; n++) cluster.fork();

  // Without this a crash makes the service smaller, one worker at a time.
  cluster.on('exit', (worker, code, signal) => {
    console.log(`worker ${worker.process.pid} ended (${signal || code}); forking another`);
    cluster.fork();
  });
  // And this is where the work begins: the primary itself may crash, a worker
  // that fails at start is forked for ever, a new release needs a reload, the
  // logs a file, the operator a list. `pace start server.js -i max` is that part.
} else {
  require('./server.js');
}
