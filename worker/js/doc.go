// Package js runs workers whose code is JavaScript, without Node: each an isolate of
// QuickJS, an engine with a heap of its own, on a goroutine of its own, inside a Go
// program.
//
//	w, err := js.New(`
//		const { parentPort, workerData } = require('worker_threads');
//		parentPort.postMessage(workerData.sort());
//	`, js.Options{Data: []int{3, 1, 2}})
//	sorted, err := worker.Receive[[]int](ctx, w)
//
// A program may start further workers by new Worker: more isolates, which run at the
// same time, with Node's worker_threads between them. With Options.Main the script is
// such a program's main thread; a program that is written for Node and needs no more
// than the modules below runs unchanged.
//
// # Limits
//
//   - Memory is a hard limit. An isolate that has Options.MemoryBytes gets the error
//     "out of memory" instead of more, and ends with ERR_WORKER_OUT_OF_MEMORY if it
//     does not catch it. Its neighbours and its host are not affected. Deep recursion
//     is an error as well.
//   - Messages: Options.QueueBytes bounds what waits, hard.
//   - Time is a cooperative limit. The engine looks whether its time is over at every
//     10,000th call or turn of a loop. Ordinary code ends within a few milliseconds of
//     Options.Timeout or Terminate. Code whose calls are slow does not: a loop of
//     s.split(”).join(”) over a megabyte, or of errors with deep stacks, goes on
//     for seconds or minutes, and one call of such a builtin cannot be ended at all.
//     Terminate says so by a *worker.StuckError. What must end on time, whatever it
//     does, belongs into package wasm or a process of its own.
//   - Workers: Options.MaxWorkers.
//
// The engine is C translated to Go. What goes wrong in it, even a fault in its
// memory, is an error of that worker; but the isolation is one of languages, not of
// processes.
//
// # What a program has
//
// Of JavaScript all of ES2023 but Intl. Of Node the modules assert, buffer, events,
// module (createRequire), os (in part), path, perf_hooks, process, querystring,
// timers, url, util, v8 (serialize, deserialize) and worker_threads, by require and by
// import, with or without "node:"; of the globals console, timers, queueMicrotask,
// structuredClone, Buffer, URL, TextEncoder, atob and those of messages. Relative
// paths are files of Options.FS. There is no fs, no network, and nothing of the
// host's environment; process.pid is the host's, the same in all isolates.
//
// worker_threads has Worker (also with eval, resourceLimits.maxOldGenerationSizeMb,
// env, argv, transferList), isMainThread, parentPort, workerData, threadId,
// MessageChannel, MessagePort, BroadcastChannel, receiveMessageOnPort,
// setEnvironmentData and getEnvironmentData. Differences from Node:
//
//   - A SharedArrayBuffer cannot be sent to another isolate; a transferred
//     ArrayBuffer is copied and then detached. A MessagePort cannot be sent to Go.
//   - postMessage throws ERR_WORKER_QUEUE_FULL where Node would take memory.
//   - What a worker prints appears at once, and not when the main thread is idle.
//
// # Messages
//
// They cross isolates in V8's form, as structured clones: cycles, Map, Set, Date,
// BigInt, typed arrays, errors. On the Go side they are what clone.Unmarshal makes of
// them, and worker.Receive makes a type of one's own of that.
package js
