package clone

import "sync"

// The tables of references grow with each value, and are used again for the next.
// Nothing of a value stays in them.
var (
	copyings = sync.Pool{New: func() any { return new(copying) }}
	writers  = sync.Pool{New: func() any { return new(writer) }}
	readers  = sync.Pool{New: func() any { return new(reader) }}
)

// keepAtMost is how large tables may be that are kept, in entries.
const keepAtMost = 1 << 13

func newCopying() *copying {
	c, _ := copyings.Get().(*copying)
	return c
}

func (c *copying) release() {
	*c = copying{known: reset(c.known)}
	copyings.Put(c)
}

func newWriter(out []byte, o Options) *writer {
	w, _ := writers.Get().(*writer)
	w.out, w.start, w.sorted = out, len(out), o.Sorted
	return w
}

func (w *writer) release() {
	*w = writer{known: reset(w.known), keys: emptied(w.keys), places: emptied(w.places)}
	writers.Put(w)
}

func newReader(data []byte, o Options) *reader {
	r, _ := readers.Get().(*reader)
	r.data, r.options = data, o
	return r
}

func (r *reader) release() {
	r.names.forget()
	*r = reader{objects: emptied(r.objects), names: r.names}
	readers.Put(r)
}

func reset[T any](r references[T]) references[T] {
	if len(r.list) > keepAtMost {
		return references[T]{}
	}
	return references[T]{list: emptied(r.list), slots: r.slots[:0]}
}

// emptied is a slice without elements that still has its memory.
func emptied[T any](s []T) []T {
	if cap(s) > keepAtMost {
		return nil
	}
	clear(s) // what is beyond is clear already
	return s[:0]
}
