package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/e2e/helper"
	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// workers is how many copies each server under measurement has, unless said otherwise.
const workers = 2

// server is a program that serves on $PORT.
type server struct {
	name  string // for the rows
	needs string // the program that runs it, as scripts/deps.sh names it; empty: nothing
	file  string
	args  []string // its own
}

// example is a file of the examples.
func (b *bench) example(name string) string { return filepath.Join(b.examples, name) }

func (b *bench) node(script string) server {
	return server{name: "node", needs: "node", file: b.example(filepath.Join("node", script))}
}

// golang is the static Go server among the helpers, with its arguments.
func (b *bench) golang(name string, args ...string) server {
	return server{name: name, file: b.exe, args: append([]string{helperWord, "web"}, args...)}
}

// helperWord makes this program play one of the helpers: bench __helper NAME ARGS.
const helperWord = "__helper"

// helperOf finds which helper is meant: a helper calls another by its name alone.
func helperOf(argv []string) (name string, args []string, ok bool) {
	if len(argv) > 2 && argv[1] == helperWord {
		return argv[2], argv[3:], true
	}
	name, ok = helper.Named(argv[0])
	return name, argv[1:], ok
}

func runHelper(name string, args []string, stdout, stderr io.Writer) int {
	exe, err := os.Executable()
	if err != nil {
		complain(stderr, err)
		return 1
	}
	return helper.Run(name, helper.Call{Args: args, Stdout: stdout, Stderr: stderr, Exe: exe})
}

// app is a server under pace, in a home and on a port of its own.
type app struct {
	box  *sandbox.Sandbox
	port *sandbox.Port
	name string
}

// startApp runs n copies of a server.
func (b *bench) startApp(ctx context.Context, s server, n int, options ...string) (*app, error) {
	if err := installed(s.needs); err != nil {
		return nil, err
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		return nil, err
	}
	box, err := sandbox.New(b.pace, "PORT="+strconv.Itoa(port.Number))
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	a := &app{box: box, port: port, name: "app"}
	args := append([]string{"start", s.file, "--name", a.name, "-i", strconv.Itoa(n)}, options...)
	if len(s.args) > 0 {
		args = slices.Concat(args, []string{"--"}, s.args)
	}
	if _, err := box.Pace(ctx, args...); err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *app) close(ctx context.Context) error {
	return errors.Join(a.box.Close(ctx), a.port.Release())
}

// answers waits until a server does.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := proc.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		r := load.Run(ctx, load.Config{Addr: addr, Clients: 1, Requests: 1, Timeout: time.Second})
		return r.Requests == 1 && r.Failed == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for an answer on %s: %w", addr, err)
	}
	return nil
}

// study is one measurement of several in a part.
type study struct {
	name    string
	atMost  time.Duration // it is given up then; a minute if zero
	measure func(context.Context) error
}

// studies does one after the other. One that cannot be done says so and does not
// keep the others from being done.
func (b *bench) studies(ctx context.Context, list []study) error {
	failed := 0
	for _, s := range list {
		if !strings.Contains(s.name, b.only) {
			continue
		}
		if s.atMost == 0 {
			s.atMost = time.Minute
		}
		during, cancel := context.WithTimeoutCause(ctx, s.atMost, fmt.Errorf("not done within %v", s.atMost))
		err := s.measure(during)
		cancel()
		switch {
		case ctx.Err() != nil:
			return err
		case errors.Is(err, errSkip):
			b.table.say("  %s: %v", s.name, err)
		case err != nil:
			line, _, _ := strings.Cut(err.Error(), "\n")
			b.table.say("  %s: failed: %.300s", s.name, line)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be measured", failed, len(list))
	}
	return nil
}

// with runs copies of a server under pace while measure works, once all of them answer.
func (b *bench) with(ctx context.Context, s server, n int, options []string, measure func(*app) error) (err error) {
	a, err := b.startApp(ctx, s, n, options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	if err := allAnswer(ctx, a.port.Addr(), n); err != nil {
		return err
	}
	return measure(a)
}

// allAnswer waits until each of n copies, which tell their pids, has answered some of
// many clients with different addresses.
func allAnswer(ctx context.Context, addr string, n int) error {
	within, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	seen := map[string]int{}
	err := proc.Poll(within, 50*time.Millisecond, func() (bool, error) {
		r := load.Run(within, load.Config{Addr: addr, Clients: 32, Requests: 64, Timeout: time.Second})
		maps.Copy(seen, r.Bodies)
		return len(seen) >= n && r.Failed == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until %d copies answer, %d have: %w", n, len(seen), err)
	}
	return nil
}
