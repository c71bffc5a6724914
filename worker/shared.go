package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// SharedBuffer is memory that workers share: SharedArrayBuffer of Node. Sending
// it sends the same memory, not a copy. Its length is fixed. All methods may be
// called concurrently.
type SharedBuffer struct {
	words []uint64 // so that it is aligned for both sizes
	bytes int

	mu      sync.Mutex                // guards waiting
	waiting map[int][]chan<- struct{} // by offset in bytes, those who wait longest first
}

// NewSharedBuffer returns a buffer of so many bytes, all zero. It panics if that
// is negative.
func NewSharedBuffer(bytes int) *SharedBuffer {
	if bytes < 0 {
		panic(fmt.Sprintf("worker: shared buffer of %d bytes", bytes))
	}
	return &SharedBuffer{words: make([]uint64, (bytes+7)/8), bytes: bytes}
}

// CloneShared implements [clone.Shared].
func (b *SharedBuffer) CloneShared() {}

// Len is the length in bytes.
func (b *SharedBuffer) Len() int { return b.bytes }

// Bytes is the memory itself. Access to it is not atomic: who writes and who
// reads must order that, as by Atomics.
func (b *SharedBuffer) Bytes() []byte {
	if b.bytes == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&b.words[0])), b.bytes)
}

// Int32 sees the buffer as 32 bit numbers, in the byte order of the machine.
func (b *SharedBuffer) Int32() *Atomics[int32] { return newAtomics[int32](b) }

// Int64 sees the buffer as 64 bit numbers, in the byte order of the machine.
func (b *SharedBuffer) Int64() *Atomics[int64] { return newAtomics[int64](b) }

// WaitResult is how [Atomics.Wait] ended, in the words of JavaScript.
type WaitResult string

// The results.
const (
	WaitOK       WaitResult = "ok"        // woken by Notify
	WaitNotEqual WaitResult = "not-equal" // the number was another from the beginning
	WaitTimedOut WaitResult = "timed-out" // the context ended before
)

// Atomics are the atomic operations on a [SharedBuffer], by index: Atomics of
// Node. Each is sequentially consistent. An index that is not below Len panics,
// as that of a slice does. All methods may be called concurrently.
type Atomics[T int32 | int64] struct {
	buffer *SharedBuffer
	cells  []T
}

func newAtomics[T int32 | int64](b *SharedBuffer) *Atomics[T] {
	a := &Atomics[T]{buffer: b}
	if n := b.bytes / a.size(); n > 0 {
		a.cells = unsafe.Slice((*T)(unsafe.Pointer(&b.words[0])), n)
	}
	return a
}

func (a *Atomics[T]) size() int {
	var cell T
	return int(unsafe.Sizeof(cell))
}

// CloneShared implements [clone.Shared].
func (a *Atomics[T]) CloneShared() {}

// Buffer is the buffer that this is a view of.
func (a *Atomics[T]) Buffer() *SharedBuffer { return a.buffer }

// Len is how many numbers there are.
func (a *Atomics[T]) Len() int { return len(a.cells) }

// Load is the number at i.
func (a *Atomics[T]) Load(i int) T {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return T(atomic.LoadInt32(p))
	case *int64:
		return T(atomic.LoadInt64(p))
	}
	panic("worker: a cell of neither size")
}

// Store makes v the number at i.
func (a *Atomics[T]) Store(i int, v T) { a.Exchange(i, v) }

// Exchange makes v the number at i and returns what it was.
func (a *Atomics[T]) Exchange(i int, v T) T {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return T(atomic.SwapInt32(p, int32(v)))
	case *int64:
		return T(atomic.SwapInt64(p, int64(v)))
	}
	panic("worker: a cell of neither size")
}

// CompareExchange makes v the number at i if that is expected, and returns what
// it was, as in JavaScript: it has been changed if that is expected.
func (a *Atomics[T]) CompareExchange(i int, expected, v T) T {
	for {
		was := a.Load(i)
		if was != expected || a.swap(i, expected, v) {
			return was
		}
	}
}

func (a *Atomics[T]) swap(i int, from, to T) bool {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return atomic.CompareAndSwapInt32(p, int32(from), int32(to))
	case *int64:
		return atomic.CompareAndSwapInt64(p, int64(from), int64(to))
	}
	panic("worker: a cell of neither size")
}

// Add adds v to the number at i, wrapping around, and returns what it was.
func (a *Atomics[T]) Add(i int, v T) T {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return T(atomic.AddInt32(p, int32(v))) - v
	case *int64:
		return T(atomic.AddInt64(p, int64(v))) - v
	}
	panic("worker: a cell of neither size")
}

// Sub subtracts v from the number at i, wrapping around, and returns what it was.
func (a *Atomics[T]) Sub(i int, v T) T { return a.Add(i, -v) }

// And clears the bits at i that v has not, and returns what was there.
func (a *Atomics[T]) And(i int, v T) T {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return T(atomic.AndInt32(p, int32(v)))
	case *int64:
		return T(atomic.AndInt64(p, int64(v)))
	}
	panic("worker: a cell of neither size")
}

// Or sets the bits at i that v has, and returns what was there.
func (a *Atomics[T]) Or(i int, v T) T {
	switch p := any(&a.cells[i]).(type) {
	case *int32:
		return T(atomic.OrInt32(p, int32(v)))
	case *int64:
		return T(atomic.OrInt64(p, int64(v)))
	}
	panic("worker: a cell of neither size")
}

// Xor flips the bits at i that v has, and returns what was there.
func (a *Atomics[T]) Xor(i int, v T) T {
	for {
		was := a.Load(i)
		if a.swap(i, was, was^v) {
			return was
		}
	}
}

// Wait waits, if the number at i is expected, until Notify wakes it or ctx ends.
// No change of the number can come between looking and waiting. It never wakes by
// itself; what the number is when it wakes is another matter.
func (a *Atomics[T]) Wait(ctx context.Context, i int, expected T) WaitResult {
	_ = &a.cells[i] // panics without the lock
	b, at := a.buffer, i*a.size()
	woken := make(chan struct{})
	b.mu.Lock()
	if a.Load(i) != expected {
		b.mu.Unlock()
		return WaitNotEqual
	}
	if b.waiting == nil {
		b.waiting = make(map[int][]chan<- struct{})
	}
	b.waiting[at] = append(b.waiting[at], woken)
	b.mu.Unlock()

	select {
	case <-woken:
		return WaitOK
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, w := range b.waiting[at] {
		if w == woken {
			b.forget(at, k, 1)
			return WaitTimedOut
		}
	}
	return WaitOK // Notify has counted this one
}

// Notify wakes up to n of those who wait at i, the longest waiting first, or all
// if n is negative, and returns how many. That they wait on the same memory
// counts, not the size of the numbers they see.
func (a *Atomics[T]) Notify(i, n int) int {
	_ = &a.cells[i]
	b, at := a.buffer, i*a.size()
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.waiting[at]
	if n < 0 || n > len(list) {
		n = len(list)
	}
	for _, w := range list[:n] {
		close(w)
	}
	b.forget(at, 0, n)
	return n
}

// forget takes n of those who wait at a place off the list. The caller has the lock.
func (b *SharedBuffer) forget(at, from, n int) {
	rest := slices.Delete(b.waiting[at], from, from+n)
	if len(rest) == 0 {
		delete(b.waiting, at)
		return
	}
	b.waiting[at] = rest
}
