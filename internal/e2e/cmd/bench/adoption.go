package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/e2e/helper"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

const (
	startups = 50  // of each kind
	blocks   = 300 // of calls, of each kind
)

func measureAdoption(ctx context.Context, b *bench) error {
	return b.studies(ctx, []study{
		{name: "start of a Go server", measure: func(ctx context.Context) error { return b.startCost(ctx, "go server") }},
		{name: "start of the least server", measure: func(ctx context.Context) error {
			return b.startCost(ctx, "least server", "-raw")
		}},
		{name: "other calls", measure: b.callCost},
	})
}

// trapped are the two ways to run a program: adopted, and left alone.
func trapped() []string { return []string{"shared", "none"} }

// twins runs a helper twice in one home, once adopted and once left alone.
func (b *bench) twins(ctx context.Context, args func(box *sandbox.Sandbox, balance string) []string, measure func(*sandbox.Sandbox) error) (err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if _, err := box.Pace(ctx, "ping"); err != nil { // its folder is there then
		return err
	}
	for _, balance := range trapped() {
		port, err := sandbox.ReservePort()
		if err != nil {
			return err
		}
		defer port.Release() //nolint:errcheck // it is given back with this process at the latest
		one := *box
		one.Env = append(append([]string{}, box.Env...), "PORT="+strconv.Itoa(port.Number))
		words := []string{"start", b.exe, "--name", balance, "-i", "1", "--balance", balance, "--min-uptime", "0", "--", helperWord}
		if _, err := one.Pace(ctx, append(words, args(box, balance)...)...); err != nil {
			return err
		}
	}
	list, err := box.Instances(ctx)
	if err != nil {
		return err
	}
	filters := map[string]int{}
	for _, in := range list {
		if filters[in.Name], err = seccompFilters(in.PID); err != nil {
			return err
		}
	}
	if filters["shared"] <= filters["none"] {
		return fmt.Errorf("%w: programs are not adopted here; pace doctor says why", errSkip)
	}
	return measure(box)
}

// seccompFilters is how many filters a process runs under.
func seccompFilters(pid int) (int, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "\nSeccomp_filters:")
	if !ok {
		return 0, fmt.Errorf("%w: the kernel does not tell a process's filters (Linux 5.10)", errSkip)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

// startCost kills a process and takes the times at which its successor begins and
// listens. What runs first is a program that notes the time and becomes the server.
func (b *bench) startCost(ctx context.Context, what string, options ...string) error {
	told := map[string]*net.UnixConn{}
	defer func() {
		for _, c := range told {
			c.Close() //nolint:errcheck // nothing is lost
		}
	}()
	var listenErr error
	args := func(box *sandbox.Sandbox, balance string) []string {
		file := filepath.Join(box.Dir, balance)
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: file, Net: "unixgram"})
		listenErr = errors.Join(listenErr, err)
		told[balance] = c
		return append([]string{"launch", "startup", file}, options...)
	}
	return b.twins(ctx, args, func(*sandbox.Sandbox) error {
		if listenErr != nil {
			return listenErr
		}
		pids := map[string]int{}
		for balance, c := range told {
			first, err := nextStart(ctx, c)
			if err != nil {
				return err
			}
			pids[balance] = first.PID
		}
		spawn, listen := map[string][]time.Duration{}, map[string][]time.Duration{}
		for range startups {
			for _, balance := range trapped() {
				if err := pause(ctx, 30*time.Millisecond); err != nil {
					return err
				}
				begun := helper.Monotonic()
				if err := proc.Kill(pids[balance]); err != nil {
					return err
				}
				next, err := nextStart(ctx, told[balance])
				if err != nil {
					return err
				}
				pids[balance] = next.PID
				spawn[balance] = append(spawn[balance], next.Exec-begun)
				listen[balance] = append(listen[balance], next.Listen-next.Exec)
			}
		}
		b.more(what+", exec to listening", listen["shared"], listen["none"])
		b.more(what+", kill -9 to the next one's exec", spawn["shared"], spawn["none"])
		return nil
	})
}

// nextStart waits until a server tells that it listens.
func nextStart(ctx context.Context, c *net.UnixConn) (helper.Listening, error) {
	end, ok := ctx.Deadline()
	if soon := time.Now().Add(10 * time.Second); !ok || soon.Before(end) {
		end = soon
	}
	if err := c.SetReadDeadline(end); err != nil {
		return helper.Listening{}, err
	}
	l, err := helper.ReadListening(c)
	if err != nil {
		return l, fmt.Errorf("wait until it listens: %w", err)
	}
	return l, nil
}

// more is a row for what adoption adds to a time.
func (b *bench) more(what string, with, without []time.Duration) {
	best := slices.Min(with) - slices.Min(without)
	b.table.atMost(fmt.Sprintf("%s, median of %d: %s instead of %s ms, more (best %s)", what, len(with),
		figure(ms(median(with))), figure(ms(median(without))), figure(ms(best))),
		ms(median(with)-median(without)), 1, "ms")
}

// callCost has both processes make blocks of calls in turn, on the same CPU. The
// least is what the call costs where nothing else happened.
func (b *bench) callCost(ctx context.Context) (err error) {
	var l *net.UnixListener
	args := func(box *sandbox.Sandbox, balance string) []string {
		file := filepath.Join(box.Dir, "calls")
		if l == nil {
			var listenErr error
			l, listenErr = net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
			err = errors.Join(err, listenErr)
		}
		return []string{"calls", file, balance[:1]}
	}
	return b.twins(ctx, args, func(*sandbox.Sandbox) error {
		if err != nil {
			return err
		}
		defer l.Close() //nolint:errcheck // nothing is lost
		if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		conns, least := map[byte]net.Conn{}, map[byte]float64{}
		for range trapped() {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // nothing is lost
			var word [1]byte
			if _, err := c.Read(word[:]); err != nil {
				return err
			}
			conns[word[0]], least[word[0]] = c, math.Inf(1)
		}
		for range blocks {
			for word, c := range conns {
				took, err := helper.ReadCalls(c)
				if err != nil {
					return err
				}
				least[word] = min(least[word], took)
			}
		}
		with, without := least['s'], least['n']
		b.table.atMost(fmt.Sprintf("getppid, least of %d blocks: %s instead of %s ns, more", blocks, figure(with), figure(without)),
			with-without, 60, "ns")
		return ctx.Err()
	})
}
