//go:build linux

package logs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/app"
)

// press is a printer whose outputs can be read.
type press struct {
	*Printer
	t        *testing.T
	out, err *os.File // their read ends
	outWrite *os.File
	said     chan string
}

func newPress(t *testing.T) *press {
	t.Helper()
	p := &press{t: t, said: make(chan string, 10)}
	outRead, out := pipeFor(t)
	errRead, err := pipeFor(t)
	p.out, p.err, p.outWrite = outRead, errRead, out
	p.Printer = NewPrinter(PrinterOptions{Out: out, Err: err, Log: func(format string, a ...any) { p.said <- fmt.Sprintf(format, a...) }})
	t.Cleanup(p.Close)
	return p
}

func pipeFor(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return read, write
}

// add prints a stream and returns the process's end of it, and what is closed when
// all of it has been printed.
func (p *press) add(spec PrintSpec) (*os.File, <-chan struct{}) {
	p.t.Helper()
	read, write := pipeFor(p.t)
	done := make(chan struct{})
	spec.Pipe, spec.Done = read, func() { close(done) }
	if err := p.Add(spec); err != nil {
		p.t.Fatal(err)
	}
	return write, done
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("not printed in time")
	}
}

// readLines reads n lines.
func readLines(t *testing.T, f *os.File, n int) (list []string) {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(f)
	for range n {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", list, err)
		}
		list = append(list, strings.TrimSuffix(line, "\n"))
	}
	return list
}

func TestPrinterForms(t *testing.T) {
	at := time.Date(2026, 11, 26, 21, 5, 6, 7_890_000, time.FixedZone("", 3600))
	for _, c := range []struct {
		spec PrintSpec
		text string
		want string
	}{
		{
			PrintSpec{Form: app.PrintJSON, Source: Source{ID: 3, Name: "api", Stream: "out"}},
			`say "<ä>` + "\x00\xff",
			`{"message":"say \"<ä>\u0000\ufffd","timestamp":"2026-11-26T20:05:06.007Z","type":"out","process_id":3,"app_name":"api"}` + "\n",
		},
		{
			PrintSpec{Form: app.PrintFormat, Source: Source{ID: 3, Name: "api", Stream: "err"}},
			"a b",
			"timestamp=2026-11-26T21:05:06.007+01:00 app=api id=3 type=error message=a b\n",
		},
		{PrintSpec{Form: app.PrintNames, Source: Source{ID: 3, Name: "api", Stream: "err"}}, "a b", "3|api   | a b\n"},
		{
			PrintSpec{Form: app.PrintColours, Source: Source{ID: 5, Name: "api", Stream: "err"}},
			"a b",
			"\x1b[32m5|api  \x1b[0m \x1b[31m|\x1b[0m a b\n",
		},
		{PrintSpec{Form: app.PrintRaw, Time: true}, "a b", "2026-11-26T21:05:06.007+01:00 a b\n"},
	} {
		if got := string(c.spec.appendLine(nil, []byte(c.text), at, 7)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.spec.Form, got, c.want)
		}
	}
}

func TestPrinterKeepsLinesWholeAndApart(t *testing.T) {
	p := newPress(t)
	a, aDone := p.add(PrintSpec{Form: app.PrintNames, Source: Source{ID: 0, Name: "a", Stream: "out"}})
	b, bDone := p.add(PrintSpec{Form: app.PrintNames, Source: Source{ID: 1, Name: "bb", Stream: "out"}})
	e, eDone := p.add(PrintSpec{Form: app.PrintNames, Source: Source{ID: 1, Name: "bb", Stream: "err"}})
	write(t, a, "one, ")
	write(t, b, "two\n\n")
	if got := readLines(t, p.out, 2); got[0] != "1|bb | two" || got[1] != "1|bb | " {
		t.Errorf("got %q", got)
	}
	write(t, a, "and its end\nlast without one")
	write(t, e, "oh\n")
	if got := readLines(t, p.out, 1); got[0] != "0|a  | one, and its end" {
		t.Errorf("got %q", got)
	}
	if got := readLines(t, p.err, 1); got[0] != "1|bb | oh" {
		t.Errorf("standard error: got %q", got)
	}
	_, _, _ = a.Close(), b.Close(), e.Close()
	await(t, aDone)
	await(t, bDone)
	await(t, eDone)
	if got := readLines(t, p.out, 1); got[0] != "0|a  | last without one" {
		t.Errorf("got %q", got)
	}
}

func TestPrinterPassesRawOnAndCopies(t *testing.T) {
	p := newPress(t)
	copied, into := pipeFor(t)
	dup, err := unix.Dup(int(into.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = into.Close()
	w, done := p.add(PrintSpec{Form: app.PrintRaw, Copy: os.NewFile(uintptr(dup), "copy")})
	write(t, w, "no newline")
	got := make([]byte, 10)
	if _, err := io.ReadFull(p.out, got); err != nil || string(got) != "no newline" {
		t.Errorf("got %q %v", got, err)
	}
	_ = w.Close()
	await(t, done)
	if text, err := io.ReadAll(copied); err != nil || string(text) != "no newline" {
		t.Errorf("copy: got %q %v", text, err)
	}
}

func TestPrinterTakesLongLines(t *testing.T) {
	p := newPress(t)
	w, done := p.add(PrintSpec{Form: app.PrintJSON, Source: Source{Name: "long", Stream: "out"}})
	text := strings.Repeat("0123456789abcdef", 600<<10/16) // ten pipes long
	printed := make(chan []string)
	go func() { printed <- readLines(t, p.out, 2) }()
	write(t, w, text+"\nshort\n")
	_ = w.Close()
	await(t, done)
	for i, line := range <-printed {
		var got printedLine
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		if want := []string{text, "short"}[i]; got.Message != want {
			t.Errorf("line %d: got %d bytes, want %d", i, len(got.Message), len(want))
		}
	}
}

// What nobody reads stays with the writer; a printer that is closed meanwhile leaves
// it in the pipe, for the next.
func TestPrinterLosesNothing(t *testing.T) {
	first := newPress(t)
	read, w := pipeFor(t)
	kept, err := unix.Dup(int(read.Fd())) // as the keeper has it
	if err != nil {
		t.Fatal(err)
	}
	spec := PrintSpec{Form: app.PrintJSON, Source: Source{Name: "flood", Stream: "out"}, Pipe: read}
	if err := first.Add(spec); err != nil {
		t.Fatal(err)
	}
	const many = 20000
	written := make(chan error, 1)
	go func() {
		defer w.Close()
		for i := range many {
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	select {
	case err := <-written:
		t.Fatalf("%d lines were taken and not read: %v", many, err)
	case <-time.After(100 * time.Millisecond):
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		first.Close()
	}()
	await(t, closed)
	unread := drain(t, first.out)

	second := newPress(t)
	spec.Pipe = os.NewFile(uintptr(kept), "kept")
	done := make(chan struct{})
	spec.Done = func() { close(done) }
	if err := second.Add(spec); err != nil {
		t.Fatal(err)
	}
	spec.Pipe, _ = pipeFor(t)
	if err := first.Add(spec); !errors.Is(err, ErrClosed) {
		t.Errorf("add to a closed printer: got %v, want ErrClosed", err)
	}
	rest := make(chan []byte, 1)
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(second.out) // ends when nobody can write any more
		rest <- all.Bytes()
	}()
	await(t, done)
	second.Close()
	_ = second.outWrite.Close()
	if err := <-written; err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(append(unread, <-rest...)) {
		var got printedLine
		if json.Unmarshal(line, &got) == nil { // one may be torn where the printers meet
			seen[got.Message] = true
		}
	}
	for i := range many {
		if !seen[fmt.Sprintf("line %d", i)] {
			t.Fatalf("line %d was lost; %d of %d are there", i, len(seen), many)
		}
	}
}

// drain reads what is in a pipe.
func drain(t *testing.T, f *os.File) []byte {
	t.Helper()
	var all bytes.Buffer
	if err := f.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := all.ReadFrom(f); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return all.Bytes()
}

func TestPrinterWithoutReader(t *testing.T) {
	p := newPress(t)
	w, done := p.add(PrintSpec{Form: app.PrintNames, Source: Source{Name: "a", Stream: "out"}})
	_ = p.out.Close()
	write(t, w, strings.Repeat("nobody hears\n", 100))
	_ = w.Close()
	await(t, done)
	select {
	case text := <-p.said:
		if !strings.Contains(text, "broken pipe") {
			t.Errorf("got %q", text)
		}
	default:
		t.Error("it was not told")
	}
}

func TestPrinterWaitsForTheLastLines(t *testing.T) {
	p := newPress(t)
	w, _ := p.add(PrintSpec{Form: app.PrintNames, Source: Source{Name: "a", Stream: "out"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p.Wait(ctx)
	if ctx.Err() == nil {
		t.Error("it did not wait for a stream that is open")
	}
	write(t, w, "bye")
	_ = w.Close()
	p.Wait(t.Context())
	if got := readLines(t, p.out, 1); got[0] != "0|a | bye" {
		t.Errorf("got %q", got)
	}
}
