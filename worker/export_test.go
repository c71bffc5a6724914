package worker

// Waiting is how many wait at an offset.
func (b *SharedBuffer) Waiting(at int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting[at])
}
