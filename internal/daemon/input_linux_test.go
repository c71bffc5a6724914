package daemon

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"paceline/internal/api"
)

func TestInputTakesWholeLinesAndNeverWaits(t *testing.T) {
	read, write, err := openInputPipe()
	if err != nil {
		t.Fatal(err)
	}
	in := newInput(write)
	large := append(bytes.Repeat([]byte("x"), api.MaxInput-1), '\n')
	var want []byte
	for i := range 100_000 {
		line := []byte("line\n")
		if i == 100 {
			line = large
		}
		if err = in.write(line); err != nil {
			break
		}
		want = append(want, line...)
	}
	if !errors.Is(err, errInputFull) || len(want) < len(large) {
		t.Fatalf("after %d bytes: %v, want %v", len(want), err, errInputFull)
	}
	if err := in.write(large); !errors.Is(err, errInputFull) {
		t.Errorf("a large line into a full pipe: %v", err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(read, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v; what is read is not what was written", err)
	}
	// Who reads again is written to again, and has missed no half of a line.
	if err := in.write(large); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(read, got[:len(large)]); err != nil || !bytes.Equal(got[:len(large)], large) {
		t.Errorf("%v; the large line is another one", err)
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.write([]byte("x\n")); !errors.Is(err, errInputClosed) {
		t.Errorf("nobody can read: %v, want %v", err, errInputClosed)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.write([]byte("x\n")); !errors.Is(err, errInputClosed) {
		t.Errorf("our end is closed: %v, want %v", err, errInputClosed)
	}
}
