package port

import "testing"

// What it costs to look, once a second, whether an idle app of one socket accepts.
func BenchmarkStalledIdle(b *testing.B) {
	s := newSet(b, Options{Policy: Shared})
	defer s.Close()
	serve(b, s, loopback, 1)
	for b.Loop() {
		s.Stalled()
	}
}
