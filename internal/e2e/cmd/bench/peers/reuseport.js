// Preloaded into a server: it listens on descriptor 3, a socket with SO_REUSEPORT
// that is bound to the port. Before Node 22.12 a server cannot ask for that itself.
'use strict';

const net = require('node:net');

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (...args) {
  return listen.call(this, { fd: 3 }, ...args.filter((arg) => typeof arg === 'function'));
};
