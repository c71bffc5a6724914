package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOneProcessSortsBoth(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(lines) // the workers end in no order
	want := []string{"Go, process %d", "main thread: true, process %d", "worker: main thread: false, process %d, sorted 0,1,2,4", "worker: main thread: false, process %d, sorted 2,4,5,6"}
	for i := range want {
		want[i] = fmt.Sprintf(want[i], os.Getpid())
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q; want %q", lines, want)
	}
}
