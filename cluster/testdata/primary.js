// Node's own primary for the tests. It tells each event as a line of JSON and obeys lines:
// "reload", "disconnect", or JSON that goes to all workers.
'use strict';
const cluster = require('cluster');
const readline = require('readline');

cluster.schedulingPolicy = process.env.POLICY === 'shared' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupPrimary({ exec: process.env.EXEC, args: [], execArgv: [] });

// fork starts a worker. cluster.fork runs `process.execPath EXEC`, so for a program that is
// not Node's, env is what runs it.
let alive = 0;
let ending = false;
function fork() {
	alive++;
	const node = process.execPath;
	if (process.env.NATIVE) process.execPath = '/usr/bin/env';
	try {
		return cluster.fork();
	} finally {
		process.execPath = node;
	}
}

const tell = (event, fields) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
const once = (emitter, event) => new Promise((ok) => emitter.once(event, ok));

cluster.on('online', (w) => tell('online', { id: w.id }));
cluster.on('listening', (w, a) => tell('listening', { id: w.id, port: a.port, address: a.address, type: a.addressType }));
cluster.on('message', (w, m) => tell('message', { id: w.id, message: m }));
cluster.on('disconnect', (w) => tell('disconnect', { id: w.id }));
cluster.on('exit', (w, code, signal) => {
	tell('exit', { id: w.id, code, signal, voluntary: w.exitedAfterDisconnect === true });
	if (--alive === 0 && ending) process.stdout.write('', () => process.exit(0));
});

const n = Number(process.env.WORKERS);
for (let i = 0; i < n; i++) fork();

async function reload() {
	for (const old of Object.values(cluster.workers)) {
		await once(fork(), 'listening');
		const gone = once(old, 'exit');
		old.disconnect();
		await gone;
	}
	tell('reloaded', {});
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
	if (line === 'reload') reload();
	else if (line === 'disconnect') {
		ending = true;
		cluster.disconnect();
	}
	else for (const w of Object.values(cluster.workers)) w.send(JSON.parse(line));
}).on('close', () => process.exit(0));
