// Paceline's part of a graceful end, loaded by --require into Node apps that pace runs.
//
// While the app serves this does nothing but remember which servers had a connection. When pace
// is about to replace the process it sends
//   {"cmd":"NODE_PACELINE","act":"drain","signal":"SIGINT","hold":5000,"grace":6000}
// and from then on
// - every HTTP/1 response that has not been begun says `Connection: close`, so that clients with
//   kept connections go to the successor after it;
// - idle kept connections stay open for `grace` ms, for a request that may be on its way: Node's
//   server.close() cuts them at once from Node 19 on, and the client sees a reset;
// - HTTP/2 sessions get a GOAWAY that still admits streams on their way, then end;
// - if the app listens for the signal that pace will send at last, the process stays alive after
//   its disconnect for up to `hold` ms until that signal comes: the app's cleanup runs.
'use strict';

(() => {
  // Worker threads run preloads too, but have no channel.
  if (!process.channel || typeof process.send !== 'function') return;

  // Children of the app inherit execArgv (child_process.fork, cluster, worker_threads).
  const args = process.execArgv;
  for (let i = 0; i < args.length; i++) {
    if ((args[i] === '--require' || args[i] === '-r') && args[i + 1] === __filename) args.splice(i--, 2);
    else if (args[i] === '--require=' + __filename) args.splice(i--, 1);
  }
  delete require.cache[__filename];

  const channel = require('diagnostics_channel').channel;
  // Subscribers do not keep a channel alive before Node 20; these constants do.
  const connections = channel('net.server.socket');
  const requests = channel('http.server.request.start');

  const known = new WeakSet();
  let servers = []; // WeakRefs, one per server that had a connection
  const sessions = new Set(); // HTTP/2
  let last; // the server of the latest connection, to be quick
  let draining = null; // the drain message
  let over = false; // its grace is

  const quietly = (f) => {
    // An error in here must never become the app's.
    try { f(); } catch { /* then this is left to Node's own ways */ }
  };
  const symbolOf = (o, name) => Object.getOwnPropertySymbols(o).find((s) => s.description === name);

  connections.subscribe(({ socket }) => {
    const server = socket.server;
    if (!server || server === last) return;
    last = server;
    if (!known.has(server)) quietly(() => meet(server, socket));
  });

  function meet(server, socket) {
    known.add(server);
    servers = servers.filter((r) => r.deref());
    servers.push(new WeakRef(server));
    if (typeof server.updateSettings === 'function') { // an HTTP/2 server
      server.on('session', track);
      // Of a plain connection it is there already, under a key whose name differs between versions.
      const session = Reflect.ownKeys(socket).map((key) => socket[key]).find((v) => v && typeof v.goaway === 'function');
      if (session) track(session);
    }
    if (draining && !over) spare(server);
  }

  function track(session) {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    // The client's first request is on its way.
    if (draining) setTimeout(() => quietly(() => farewell(session)), 100).unref();
  }

  // While streams are open, a first GOAWAY names none as the last one: those on their way are served.
  // Once none is, Node heeds nothing that comes after a GOAWAY, so there it names the last stream
  // that was served: clients know that later ones may be repeated. So does the one that close sends.
  function farewell(session) {
    if (session.closed || session.destroyed) return;
    const { close } = session;
    const socket = session[symbolOf(session, 'socket')];
    const state = session[symbolOf(session, 'state')];
    if (!socket || !state) return session.close(); // a Node that keeps them elsewhere
    const { streams } = state;
    let quiet = 0;
    const end = () => {
      if (!Object.hasOwn(session, 'close')) return;
      delete session.close;
      if (!session.destroyed) close.call(session);
    };
    // The app's server.close() closes sessions too (Node 24), and so does Node when the client has gone.
    session.close = (callback) => {
      if (typeof callback === 'function') session.once('close', callback);
      if (socket.destroyed) end();
    };
    const timer = setInterval(() => quietly(() => {
      if (socket.destroyed) return clearInterval(timer);
      const handle = socket._handle;
      const tcp = handle._parent || handle; // the former with TLS
      if (streams.size > 0 || tcp.writeQueueSize > 0) return (quiet = 0);
      // Node has stopped reading too, and would not see the client's end.
      handle.readStart();
      if (++quiet < 3) return; // Node 18 closes with answers unsent
      end();
      // Over TLS a write that failed, as the client had gone, keeps Node from closing by itself.
      if (socket.readableEnded) socket.destroy();
    }), 20);
    timer.unref();
    session.goaway(0, streams.size > 0 ? 2 ** 31 - 1 : 0);
  }

  // spare keeps idle connections of a server from being cut while they may be used once more.
  function spare(server) {
    if (typeof server.closeIdleConnections !== 'function') return;
    Object.defineProperty(server, 'closeIdleConnections', {
      value() {}, configurable: true, writable: true, enumerable: false,
    });
  }

  function lastResponse(response) {
    if (response && !response.headersSent && 'shouldKeepAlive' in response) response.shouldKeepAlive = false;
  }

  function drain(m) {
    const again = draining;
    draining = m;
    if (again) return;
    requests.subscribe(({ response }) => lastResponse(response));
    const live = servers.map((r) => r.deref()).filter(Boolean);
    for (const server of live) {
      quietly(() => {
        spare(server);
        const list = server[symbolOf(server, 'http.server.connections')];
        for (const parser of list ? list.all() : []) lastResponse(parser.socket && parser.socket._httpMessage);
      });
    }
    for (const session of sessions) quietly(() => farewell(session));
    setTimeout(graceOver, m.grace).unref();
    // A cluster worker's disconnect is the end of its servers' last connection.
    if (require('cluster').isWorker) process.once('disconnect', hold);
  }

  function graceOver() {
    over = true;
    for (const ref of servers) {
      const server = ref.deref();
      if (!server || !Object.hasOwn(server, 'closeIdleConnections')) continue;
      quietly(() => {
        delete server.closeIdleConnections;
        server.closeIdleConnections();
      });
    }
  }

  function hold() {
    const { signal, hold } = draining;
    if (!signal || !(process.listenerCount(signal) > 0)) return;
    const timer = setTimeout(() => {}, hold);
    process.prependOnceListener(signal, () => clearTimeout(timer));
  }

  // Not 'message': a listener for that would keep the process alive, and have Node deliver what it
  // keeps for the app's own listener.
  process.on('internalMessage', (m) => {
    if (m && m.cmd === 'NODE_PACELINE' && m.act === 'drain') quietly(() => drain(m));
  });
})();
