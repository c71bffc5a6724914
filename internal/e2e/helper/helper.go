// Package helper holds the small programs that tests and measurements put under pace.
//
// A test binary plays them all, as the first word of its own argv: see Names.
package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Call is how a program was called.
type Call struct {
	Args           []string
	Stdout, Stderr io.Writer
	Exe            string // to call another program of this package
}

// program returns its exit code.
type program func(Call) int

// programs is the table. Its order does not matter.
func programs() map[string]program {
	return map[string]program{
		"sleeper":  sleeper,
		"slowstop": slowstop,
		"forker":   forker,
		"crasher":  crasher,
		"writer":   writer,
		"hugeline": hugeline,
		"server":   server,
		"showenv":  showenv,
		"web":      web,
		"hanging":  hanging,
		"launch":   launch,
		"startup":  startup,
		"calls":    calls,
		"given":    given,
		"denied":   denied,
	}
}

// Names lists the programs.
func Names() []string { return slices.Sorted(maps.Keys(programs())) }

// Run runs the program of this name and returns its exit code.
func Run(name string, c Call) int {
	p, ok := programs()[name]
	if !ok {
		c.complain("helper: no program %q", name)
		return 127
	}
	return p(c)
}

func (c Call) printf(format string, a ...any) {
	fmt.Fprintf(c.Stdout, format, a...) //nolint:errcheck // who reads may have left; the program goes on
}

func (c Call) complain(format string, a ...any) {
	fmt.Fprintf(c.Stderr, format+"\n", a...) //nolint:errcheck // as printf
}

// number is the nth argument, or otherwise if there is none.
func (c Call) number(n, otherwise int) int {
	if n >= len(c.Args) {
		return otherwise
	}
	value, err := strconv.Atoi(c.Args[n])
	if err != nil {
		return otherwise
	}
	return value
}

func wait(d time.Duration) { <-time.After(d) }

// sleeper does nothing.
func sleeper(c Call) int {
	c.printf("sleeper runs\n")
	// A timer keeps the runtime from calling this a deadlock.
	wait(24 * time.Hour)
	return 0
}

// slowstop needs a while to end: slowstop MILLISECONDS. Negative: it never does.
func slowstop(c Call) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	c.printf("slowstop runs\n")
	for sig := range signals {
		ms := c.number(0, -1)
		c.printf("got %v, ending in %d ms\n", sig, ms)
		if ms >= 0 {
			wait(time.Duration(ms) * time.Millisecond)
			c.printf("clean end\n")
			return 0
		}
	}
	return 0
}

// forker leaves a grandchild in a session of its own, whose parent ends at once:
// a daemon, as servers used to make of themselves. It prints the grandchild's pid.
// The grandchild ignores SIGINT and SIGTERM.
func forker(c Call) int {
	if len(c.Args) > 0 && c.Args[0] == "middle" {
		child := exec.CommandContext(context.Background(), c.Exe, "-1")
		child.Args[0] = "slowstop"
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			c.complain("%v", err)
			return 1
		}
		c.printf("grandchild %d\n", child.Process.Pid)
		return 0
	}
	middle := exec.CommandContext(context.Background(), c.Exe, "middle")
	middle.Args[0] = "forker"
	middle.Stdout, middle.Stderr = c.Stdout, c.Stderr
	if err := middle.Run(); err != nil {
		c.complain("%v", err)
		return 1
	}
	c.printf("forker runs\n")
	wait(24 * time.Hour)
	return 0
}

// crasher complains and ends: crasher CODE MILLISECONDS.
func crasher(c Call) int {
	wait(time.Duration(c.number(1, 0)) * time.Millisecond)
	for n := range 7 {
		c.complain("crasher: complaint %d", n+1)
	}
	return c.number(0, 1)
}

// writer writes numbered lines as fast as it can: writer COUNT LENGTH NAME, then
// sleeps, or ends if a fourth argument says "end". Length is a line's in bytes,
// with the newline. COUNT 0: without end.
func writer(c Call) int {
	count, length := c.number(0, 1000), max(c.number(1, 64), 24)
	name := "w"
	if len(c.Args) > 2 {
		name = c.Args[2]
	}
	w := bufio.NewWriterSize(c.Stdout, 64<<10)
	for n := 0; count == 0 || n < count; n++ {
		if _, err := w.Write(Line(name, n, length)); err != nil {
			return 1
		}
	}
	if err := w.Flush(); err != nil {
		return 1
	}
	if len(c.Args) > 3 && c.Args[3] == "end" {
		return 0
	}
	wait(24 * time.Hour)
	return 0
}

// Line is the nth line of a writer.
func Line(name string, n, length int) []byte {
	b := fmt.Appendf(make([]byte, 0, length), "%s %09d ", name, n)
	for len(b) < length-1 {
		b = append(b, byte('a'+(n+len(b))%26))
	}
	return append(b, '\n')
}

// hugeline writes BYTES without a newline, then one, then "after", and sleeps.
func hugeline(c Call) int {
	block := []byte(strings.Repeat("x", 64<<10))
	for left := c.number(0, 64<<20); left > 0; left -= len(block) {
		if _, err := c.Stdout.Write(block[:min(left, len(block))]); err != nil {
			return 1
		}
	}
	c.printf("\nafter\n")
	wait(24 * time.Hour)
	return 0
}

// server answers each request with its pid on $PORT. It ends at SIGTERM as
// programs without a handler do.
func server(c Call) int {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, fmt.Sprintf("process %d\n", os.Getpid())) //nolint:errcheck // the client may have left
	})
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		c.complain("%v", err)
		return 1
	}
	c.printf("listening on %s\n", l.Addr())
	s := http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		c.complain("%v", err)
	}
	return 1
}

// showenv prints its arguments, folder and the environment variables named in
// SHOW, then sleeps.
func showenv(c Call) int {
	dir, err := os.Getwd()
	if err != nil {
		dir = err.Error()
	}
	c.printf("args %q\ndir %s\n", c.Args, dir)
	for name := range strings.FieldsSeq(os.Getenv("SHOW")) {
		value, ok := os.LookupEnv(name)
		c.printf("%s %q %v\n", name, value, ok)
	}
	wait(24 * time.Hour)
	return 0
}
