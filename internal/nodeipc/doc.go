// Package nodeipc speaks with Node processes over their IPC channel, as the primary of Node's
// cluster module.
//
// # The channel
//
// A unix stream socketpair (Pair). The process finds its end by NODE_CHANNEL_FD and, for a cluster
// worker, its number in NODE_UNIQUE_ID. Each way goes one JSON value to a line. An object whose
// "cmd" is a string that starts with NODE_ and goes on is internal, anything else is the app's
// (process.send, process.on('message')). Half a line, or a line that is not JSON, kills the worker.
//
//	either way  {"cmd":"NODE_HANDLE","type":T,"msg":M}   M with one descriptor, sent in the same sendmsg;
//	                                                     T: net.Native, dgram.Native (from apps also net.Socket, ...)
//	receiver    {"cmd":"NODE_HANDLE_ACK"}                it came; none owed: the worker asserts and dies
//	            {"cmd":"NODE_HANDLE_NACK"}               it did not (descriptor limit): send again, at most 3 times
//	from worker {"cmd":"NODE_SOCKET_GET_COUNT","key":K}  connections that it has sent us under K: {"cmd":"NODE_SOCKET_COUNT","key":K,"count":0}
//	            {"cmd":"NODE_SOCKET_NOTIFY_CLOSE",...}   answered by {"cmd":"NODE_SOCKET_ALL_CLOSED","key":K}
//
// # The cluster
//
// All are {"cmd":"NODE_CLUSTER", ..., "seq":N}, each side counting for itself; an answer has the
// other's number as "ack". W is the worker, P the primary.
//
//	W  act:"online"                      first of all
//	W  act:"queryServer" index data address port addressType fd flags backlog readableAll writableAll
//	P  ack errno:null key data sockname  hand-off: the primary accepts (omit sockname for a unix path)
//	P  the same in NODE_HANDLE           shared: the worker accepts on the descriptor; UDP always
//	P  ack errno:-98 key                 the app's listen fails
//	W  act:"listening" address port ...  port is the real one
//	P  act:"newconn" key in NODE_HANDLE  a connection
//	W  ack accepted:true|false           false: the server is closed or full, somebody else may have it
//	W  act:"close" key                   the server is closed
//	W  act:"exitedAfterDisconnect"       answered by a bare ack, for which the worker waits
//	P  act:"disconnect"                  close all servers, wait for their connections, close the channel
//
// Sources: lib/internal/child_process.js, lib/internal/cluster/{child,utils,primary,
// round_robin_handle,shared_handle}.js and lib/net.js of Node 18.20, 20.20, 22.23 and 24.21 as
// embedded in the binaries, and libuv's src/unix/stream.c; all of it was tried against these
// binaries. Bun (1.4) puts the byte 0x02 before internal lines.
//
// Ours is one message more, for the preload (see Preload), which Node ignores without it:
//
//	P  {"cmd":"NODE_PACELINE","act":"drain","signal":"SIGINT","hold":MS,"grace":MS}    see DrainOptions
//
// # What holds when the daemon is killed
//
// Somebody else (the keeper) holds a duplicate of our end, so that the worker notices nothing.
//
//   - A line from the worker is consumed from the socket only after it was acted on and the answer
//     was written: lines are peeked at. The successor acts on what is left, perhaps again; the
//     worker's seq and the saved state tell what has been done, and the worker ignores an answer
//     that it has had. Messages of the app may so come twice. Only a line that does not fit the
//     socket's buffer (from some 50 KiB on with Linux's default limits, if the buffer is full) is
//     consumed piece by piece, and is lost if the kill comes in between; Save records that its rest
//     is to be skipped.
//   - A line to the worker is written by one sendmsg that the kernel takes whole or not at all, or
//     it waits. Worker.Send refuses what could not be (ErrTooLarge; more than 200 KiB by default).
//   - A connection is lost if the kill comes between accept4 and the sendmsg after it, or if all
//     workers had refused it or their worker had died, so that it was waiting with us. No more are
//     accepted than workers have room for; the rest waits in the kernel.
//   - A handle that an app sends us is acknowledged in the system call after the one that consumes
//     its line. A kill right between the two leaves the worker without its acknowledgement; the
//     other order could give it two, and it would die.
//
// # Dealing connections
//
// Round robin among the workers that have nothing unacknowledged. When all have, those that
// acknowledged their last connection within 10 ms get up to 8 at a time, and none whose oldest is
// older than that: a worker that blocks its event loop keeps at most what it was given in its last
// 10 ms of health. One that refuses is left alone for 5 ms, then for twice as long each time it
// refuses again.
package nodeipc
