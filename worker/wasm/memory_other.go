//go:build !unix

package wasm

import "github.com/tetratelabs/wazero/experimental"

// heap is a linear memory in Go's heap, where mappings are not at hand: as large as
// it may ever be from the start, so that growth copies nothing.
type heap struct{ all []byte }

func allocate(_, limit uint64) experimental.LinearMemory { return &heap{all: make([]byte, limit)} }

// Reallocate returns the first part of it.
func (h *heap) Reallocate(size uint64) []byte {
	if size > uint64(len(h.all)) {
		return nil
	}
	return h.all[:size:size]
}

// Free leaves it to the collector.
func (h *heap) Free() { h.all = nil }
