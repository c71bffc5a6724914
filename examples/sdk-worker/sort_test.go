package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

func TestOneProcessSortsBoth(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	want := fmt.Sprintf("main thread: true, process %d\n"+
		"worker: main thread: false, process %d, sorted [0 1 2 4]\n"+
		"worker: main thread: false, process %d, sorted [2 4 5 6]\n", pid, pid, pid)
	if out.String() != want {
		t.Errorf("got %s\nwant %s", &out, want)
	}
}
