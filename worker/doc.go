// Package worker runs isolated workers inside a process: what worker_threads is
// for Node.
//
// A worker is a function with a goroutine of its own, and if asked a thread of its
// own, that shares nothing with the one who started it but what both mean to share.
// Its data and all messages are structured clones: deep copies that keep cycles and
// what is shared, made when they are sent ([paceline/worker/clone] says how). Bytes
// and ports can be transferred instead, which copies nothing, and a [SharedBuffer]
// is memory for all. What goes wrong in a worker, a panic too, is an event of that
// worker and not the end of the process.
//
//	w, err := worker.New(func(ctx context.Context, self *worker.Self) error {
//		numbers := self.Data().([]int)
//		slices.Sort(numbers)
//		return self.Send(ctx, numbers)
//	}, worker.WithData([]int{1, 4, 2, 0}))
//
// A [Pool] is for many short tasks instead: a bounded number of workers, a bounded
// queue, and a choice of what becomes of a task that finds it full.
//
// # What Go cannot do
//
// The isolation is one of manners: all workers have the same heap, and a closure
// brings along whatever it captures. Give a worker what it needs as data.
//
// A function of Go cannot be killed. [Worker.Terminate] ends the worker's context,
// waits, and says after a grace time that the worker is stuck, and where. For code
// that must be ended against its will there is paceline/worker/wasm.
//
// A panic in a goroutine that a go statement has started ends the program, wherever
// it was started. [Self.Go] starts one whose panic ends its worker alone. Nor can
// anything catch what the runtime calls fatal: concurrent writes of one map, a stack
// without end, memory that has run out.
//
// # Bounds
//
// Each direction of a channel holds [DefaultQueue] messages, or as many as WithQueue
// says. Beyond that Post fails with [ErrQueueFull] and [Port.Send] waits. A member of
// a [BroadcastChannel] that does not keep up misses messages and is told how many.
//
// # By Node's names
//
//	new Worker(file, {workerData, transferList})   New(fn, WithData(v, transfer...))
//	new Worker(file, {name})                       WithName
//	resourceLimits                                 none here; paceline/worker/wasm and js have them
//	isMainThread, threadId                         IsMainThread(ctx), ThreadID(ctx)
//	workerData, parentPort                         Self.Data, Self.Parent
//	worker.postMessage(v, transferList)            Worker.Post(v, transfer...), or Send, which waits
//	parentPort.postMessage(v)                      Self.Post, Self.Send
//	on('message')                                  Receive, Messages, the generic Receive[T]
//	once(port, 'message')                          Receive
//	on('messageerror')                             what cannot be copied fails at the sender; what
//	                                               is not a T is a *MessageError of Receive[T]
//	on('online'), on('error'), on('exit')          Worker.Events; once: Worker.Once
//	worker.terminate()                             Worker.Terminate(ctx)
//	worker.ref(), unref()                          Worker.Ref, Unref, of which WaitAll takes account
//	process.exit(code) in a worker                 Self.Exit(code)
//	worker.performance, cpuUsage()                 Worker.Usage
//	MessageChannel, MessagePort                    NewMessageChannel, Port
//	port.close(), on('close')                      Port.Close, ErrClosed
//	receiveMessageOnPort(port)                     Port.TryReceive
//	moveMessagePortToContext                       none: there is one context
//	BroadcastChannel                               NewBroadcastChannel
//	setEnvironmentData, getEnvironmentData         SetEnvironmentData, EnvironmentData
//	markAsUntransferable                           none: only handles can be transferred
//	SHARE_ENV                                      always: the environment is the process's
//	ArrayBuffer, transfer, detached                clone.ArrayBuffer
//	SharedArrayBuffer                              SharedBuffer
//	new Int32Array(shared), BigInt64Array          SharedBuffer.Int32, Int64
//	Atomics.load, store, add, sub, and, or, xor    Atomics.Load, Store, Add, Sub, And, Or, Xor
//	Atomics.exchange, compareExchange              Atomics.Exchange, CompareExchange
//	Atomics.wait, waitAsync, notify                Atomics.Wait, Notify
//	structuredClone(v)                             clone.Clone, clone.Of[T]
//	v8.serialize, v8.deserialize                   clone.Marshal, clone.Unmarshal
package worker
