// Node's own cluster primary, to compare with. WORKERS, POLICY=rr|none, APP.
'use strict';
const cluster = require('cluster');
cluster.schedulingPolicy = process.env.POLICY === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupPrimary({ exec: process.env.APP });
let up = 0;
for (let i = 0; i < +process.env.WORKERS; i++) {
  cluster.fork().on('listening', (a) => {
    if (++up === +process.env.WORKERS) console.log(a.port);
  });
}
process.stdin.on('end', () => process.exit(0)).resume(); // dies with the test
