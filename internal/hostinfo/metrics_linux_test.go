package hostinfo

import (
	"context"
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	h, err := Sample(t.Context(), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if h.CPUPercent < 0 || h.CPUPercent > 100 || h.MemoryAvailable == 0 || h.MemoryAvailable > h.MemoryTotal ||
		h.RootTotal == 0 || h.RootUsed > h.RootTotal {
		t.Errorf("got %+v", h)
	}
}

func TestSampleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Sample(ctx, time.Hour); err == nil {
		t.Error("it slept on")
	}
}

func TestCounters(t *testing.T) {
	var c counters
	for _, line := range [][]string{{"cpu", "10", "1", "5", "100", "20", "2", "1", "0", "7", "0"}, {"cpu0", "9", "9", "9", "9", "9", "9"}} {
		if err := c.cpu(line); err != nil {
			t.Fatal(err)
		}
	}
	if c.busy != 19 || c.all != 139 {
		t.Errorf("busy %d of %d, want 19 of 139", c.busy, c.all)
	}
	if got := rate(1000, 3000, 2*time.Second); got != 1000 {
		t.Errorf("rate %v", got)
	}
	if got := rate(3000, 1000, time.Second); got != 0 {
		t.Errorf("a counter that began anew gives %v", got)
	}
}
