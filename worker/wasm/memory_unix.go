//go:build unix

package wasm

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// mapped is a linear memory in a mapping of its own: as large as it may ever be,
// of which only pages that the guest has touched are there. Growth copies nothing,
// and the kernel has it all back when the worker ends, not when the collector runs.
type mapped struct{ all []byte }

func allocate(_, limit uint64) experimental.LinearMemory {
	all, err := syscall.Mmap(-1, 0, int(max(limit, 1)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return &mapped{} // Reallocate fails, and the guest does not start
	}
	return &mapped{all: all}
}

// Reallocate returns the first part of the mapping.
func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	return m.all[:size:size]
}

// Free gives the mapping back.
func (m *mapped) Free() {
	if m.all != nil {
		_ = syscall.Munmap(m.all) // fails for a wrong address alone
		m.all = nil
	}
}
