package wasm

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// rss is the child process of TestHostStaysWithinLimit: it runs a guest and prints
// by how many bytes the most memory that the process has had in RAM grew.
func rss(guest string) error {
	binary := map[string][]byte{"greedy": greedy(), "bottomless": bottomless()}[guest]
	m, err := Compile(context.Background(), binary, Limits{MemoryBytes: rssLimit})
	if err != nil {
		return err
	}
	before, err := highWater()
	if err != nil {
		return err
	}
	w, err := m.Start(Options{})
	if err != nil {
		return err
	}
	end := w.Wait(context.Background())
	after, err := highWater()
	if err != nil {
		return err
	}
	fmt.Printf("%d %d %v\n", before, after, end)
	return nil
}

const rssLimit = 64 << 20

// highWater is the most that the process has had in RAM, in bytes.
func highWater() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	kb := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if kb == nil {
		return 0, fmt.Errorf("no VmHWM in /proc/self/status")
	}
	n, err := strconv.Atoi(string(kb[1]))
	return n << 10, err
}
