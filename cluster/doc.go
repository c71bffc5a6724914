// Package cluster runs copies of a program that share their listeners: what Node's
// cluster module is to Node. A primary forks workers, hands their connections out in turn or
// gives all of them one socket, talks with them, and replaces them without a failed request.
//
// The same program runs three ways, unchanged:
//
//   - alone, where it is its own primary: [IsPrimary] is true at first, and false in the
//     copies that it forks;
//   - under `pace start ./program -i 4`, where Paceline is the primary and IsPrimary false
//     from the beginning, so that the program's own primary stays idle;
//   - without any of it, where [Listen] is net.Listen, Ready does nothing, and the rest says
//     [ErrNoPrimary].
//
// # From Node
//
//	Node                                       here
//	cluster.isPrimary, cluster.isWorker        IsPrimary(), IsWorker()
//	cluster.worker.id                          ID()
//	process.env.NODE_APP_INSTANCE              Index()
//	cluster.setupPrimary({exec, args, cwd})    NewPrimary(Options{Program, Args, Dir})
//	cluster.schedulingPolicy = SCHED_RR        Options.Balance: RoundRobin, the default
//	cluster.schedulingPolicy = SCHED_NONE      Options.Balance: Shared
//	cluster.fork(env)                          Primary.Fork("NAME=value")
//	cluster.workers                            Primary.Workers()
//	cluster.disconnect(callback)               Primary.Disconnect(ctx)
//	cluster.on('fork' 'online' 'listening'     Primary.Events(ctx), by Event.Kind: Forked, Online,
//	  'message' 'disconnect' 'exit')             Listening, Message, Disconnected, Exited
//	cluster.on('exit', () => cluster.fork())   Primary.Run(ctx)
//	(a loop of fork, listening, disconnect)    Primary.Reload(ctx)
//	worker.id, worker.process.pid              Worker.ID(), Worker.PID()
//	worker.send(message)                       Worker.Send(value)
//	worker.kill(signal)                        Worker.Kill(signal)
//	worker.disconnect()                        Worker.Disconnect(ctx)
//	worker.isDead(), process.exitCode          Worker.Done(), Worker.Exit()
//	worker.exitedAfterDisconnect               Worker.ExitedAfterDisconnect()
//	server.listen(port)                        Listen("tcp", ":port"), ListenAndServe
//	dgram.createSocket().bind(port)            ListenPacket("udp", ":port")
//	process.send(message), send('ready')       Send(value), Ready()
//	process.on('message', ...)                 Messages(ctx)
//	process.on('disconnect'), on('SIGTERM')    Context()
//	cluster.worker.disconnect()                Disconnect(ctx)
//
// # One protocol
//
// Primary and workers speak as Node's do, so that a Go primary runs Node workers (Program
// "node", the script in Args) and Node's own cluster module runs Go workers. There,
// cluster.fork runs process.execPath with the file of setupPrimary; to run a program that is
// not Node's, that has to be env(1) for the time of the call:
//
//	cluster.setupPrimary({ exec: './program', execArgv: [] });
//	const node = process.execPath;
//	process.execPath = '/usr/bin/env';
//	try { cluster.fork(); } finally { process.execPath = node; }
//
// This is tested with Node 18, 20, 22 and 24. Messages are JSON. Node's advanced
// serialisation, which is V8's own format, is not spoken: leave setupPrimary's serialization
// at "json". Descriptors cannot be sent with messages; one that Node sends is closed.
//
// # How a worker leaves
//
// When a primary disconnects a worker (Reload, Disconnect) it gets no more connections, its
// [Context] ends, and its listeners take no more. Their Accept does not fail: it waits until
// all connections that it has returned are closed. So log.Fatal(http.Serve(listener, nil))
// cuts nobody; but kept-alive connections, which need not end, hold it until
// Options.DrainTimeout. [ListenAndServe] and [Serve] deal with those as well: each answer
// says that it is the last, and connections that are idle may be used once more within
// Options.Grace.
//
// A worker whose primary is gone ends in the same way, as nobody will stop or replace it.
// What a worker has not accepted when it dies goes to another, or waits for its successor: the
// primary keeps the sockets.
//
// # Under Paceline
//
// pace recognises a program with this package and gives it a channel. What Send sends
// appears among the events of its API, except for [Ready], which is what `--wait-ready` waits
// for; the message "shutdown" of `--shutdown-with-message` ends Context. With -i the
// process is a worker, and ID and Index are those of its instance. Its TCP
// listeners are then sockets of its own, which Paceline adopts as it does those of any program:
// connections are dealt by --balance, in the kernel where that may be. UDP and unix sockets
// are shared over the channel. Without -i the program is one app, and its own primary.
//
// # Systems
//
// A primary needs Linux. Elsewhere the package builds, and a program runs without workers.
package cluster
