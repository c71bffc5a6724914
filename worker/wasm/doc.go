// Package wasm runs workers whose code is WebAssembly, by the engine of wazero: code
// that is not trusted, or that must end when its time is over, inside a Go program.
//
//	module, err := wasm.Compile(ctx, binary, wasm.Limits{MemoryBytes: 32 << 20})
//	w, err := module.Start(wasm.Options{Timeout: time.Second})
//	err = w.Post([]int{3, 1, 2})
//	sorted, err := worker.Receive[[]int](ctx, w)
//
// A guest is a WASI command (preview 1): what GOOS=wasip1 GOARCH=wasm makes of a Go
// program, and the wasm32-wasi targets of other compilers. It is compiled once, to
// machine code on amd64 and arm64 and to an interpreter's elsewhere, and each worker
// is an instance of it with a memory of its own.
//
// # Limits
//
// All are hard: nothing in a guest can prevent them.
//
//   - Memory: the linear memory grows to Limits.MemoryBytes and no further.
//     memory.grow answers -1 then, and the guest does what it does without memory.
//     Pages that it has not touched cost nothing, and all go back to the system with
//     the worker. Tables hold 256 Ki elements in all (2 MiB). What the host needs
//     beside the memory stays below 20 MB for each worker.
//   - Time: Options.Timeout is of the wall clock, from the start, whether the guest
//     computes, sleeps or waits for a message. Loops and calls look at it, so that it
//     ends within a few milliseconds; what it is in the midst of is not cleaned up.
//     Compile puts what that needs into each function.
//     Terminate and the end of Options.Context do the same.
//   - Messages: Options.QueueBytes wait in each direction. A guest that posts to a
//     full queue waits, and its host's Post fails.
//   - The call stack: the engine keeps it outside of the linear memory. A guest
//     that recurses without end traps with "stack overflow" when its stack has more
//     than 4 MiB.
//
// Two things are the host's to bound: the size of a module, as compiled code has about
// ten times its size and compiling takes seconds for some megabytes; and how many
// workers there are.
//
// # What a guest has
//
// Clocks, random numbers, its arguments and environment, and messages. Nothing of the
// file system unless Options.FS gives it, read only, and no network at all.
//
// # Messages
//
// A guest reads messages from its standard input and writes them to its standard
// output. A message is a frame: a length of four bytes, the most significant first,
// and as many bytes of payload, at least one. That is the frame of Node's channel in
// its advanced serialization. The payload is JSON, or a value in V8's form, which
// begins with the byte 0xff: see [Encoding]. The end of the input is the end of the
// messages. Package guest is the guest's end for Go; elsewhere it is a few lines.
//
// Standard error is for people: Options.Stderr has it in lines.
package wasm
