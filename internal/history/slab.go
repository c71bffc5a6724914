package history

import (
	"fmt"
	"syscall"
)

const (
	blockRows  = 120
	blockBytes = blockRows * cellBytes
	slabBytes  = 32 << 10 // of which 8 are over
	slabBlocks = slabBytes / blockBytes
)

// blocks hands out pieces of memory for rows. It is the kernel's, not the garbage
// collector's: that would set as much aside again.
type blocks struct {
	slabs [][]byte
	free  []int32
	used  int
}

// take returns the number of a block full of noCell; 0 is none. It fails only if the
// machine has no memory left.
func (b *blocks) take() int32 {
	var number int32
	switch n := len(b.free); {
	case n > 0:
		number = b.free[n-1]
		b.free = b.free[:n-1]
	default:
		if b.used == len(b.slabs)*slabBlocks {
			slab, err := syscall.Mmap(-1, 0, slabBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
			if err != nil {
				return 0
			}
			b.slabs = append(b.slabs, slab)
		}
		b.used++
		number = int32(b.used)
	}
	rows := b.rows(number)
	for i := range rows {
		rows[i] = 0xff
	}
	return number
}

// rows returns the memory of a block.
func (b *blocks) rows(number int32) []byte {
	slab, at := int(number-1)/slabBlocks, int(number-1)%slabBlocks*blockBytes
	return b.slabs[slab][at : at+blockBytes : at+blockBytes]
}

func (b *blocks) give(number int32) { b.free = append(b.free, number) }

// bytes is how much memory is taken, whether in use or not.
func (b *blocks) bytes() int { return len(b.slabs)*slabBytes + 4*cap(b.free) }

func (b *blocks) close() error {
	for _, slab := range b.slabs {
		if err := syscall.Munmap(slab); err != nil {
			return fmt.Errorf("give history's memory back: %w", err)
		}
	}
	*b = blocks{}
	return nil
}
