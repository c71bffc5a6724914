// A server with the three usual ways of blocking an event loop by real work.
//
//   /json      turns a large object into text and back
//   /sort      sorts a million numbers
//   /pbkdf2    derives a key with the synchronous call
//   /          answers at once, if anybody is free to do it
//
// Each answer says how long the event loop stood still. `n` sets how much work
// it is: /sort?n=3000000
'use strict';

const http = require('node:http');
const crypto = require('node:crypto');

const port = process.env.PORT || 3000;

// A list of customers with their orders, as an API might return it unpaged.
function largeObject(n) {
  const customers = [];
  for (let id = 0; id < n; id++) {
    customers.push({
      id,
      name: `Customer ${id}`,
      tags: ['new', 'newsletter', `region-${id % 16}`],
      orders: [{ number: id * 7, total: id / 3 }, { number: id * 7 + 1, total: id / 5 }],
    });
  }
  return customers;
}

const work = {
  '/json': {
    n: 200_000,
    run(n) {
      const text = JSON.stringify(largeObject(n));
      JSON.parse(text);
      return `${n} customers are ${(text.length / 1e6).toFixed(1)} MB of JSON`;
    },
  },
  '/sort': {
    n: 1_000_000,
    run(n) {
      const numbers = Array.from({ length: n }, () => Math.random());
      numbers.sort((a, b) => a - b);
      return `${n} numbers sorted, the smallest is ${numbers[0]}`;
    },
  },
  '/pbkdf2': {
    n: 1_000_000,
    run(n) {
      const key = crypto.pbkdf2Sync('correct horse', 'battery staple', n, 32, 'sha256');
      return `key after ${n} rounds: ${key.toString('hex')}`;
    },
  },
};

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');

  if (url.pathname === '/') {
    response.end(`process ${process.pid}\n`);
    return;
  }
  const task = work[url.pathname];
  if (!task) {
    response.statusCode = 404;
    response.end('not found; try /, /json, /sort or /pbkdf2\n');
    return;
  }
  const n = Number(url.searchParams.get('n')) || task.n;
  const begun = performance.now();
  const result = task.run(n);
  const ms = Math.round(performance.now() - begun);
  response.end(`${result}\nprocess ${process.pid} could do nothing else for ${ms} ms\n`);
});

server.listen(port, () => {
  console.log(`process ${process.pid} listens on port ${port}`);
});
