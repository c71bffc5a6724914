package nodeipc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// primaryMain is a Paceline primary in a process of its own, what testdata/primary.js is for Node:
// it prints the port when all workers listen, and ends with its standard input.
func primaryMain() error {
	n, err := strconv.Atoi(os.Getenv("WORKERS"))
	if err != nil {
		return err
	}
	s := newSockets(os.Getenv("POLICY") != "none")
	p := NewPrimary(PrimaryOptions{Open: s.Open})
	defer p.Close()
	listening := make(chan Event, 100)
	for i := range n {
		ours, theirs, err := Pair()
		if err != nil {
			return err
		}
		cmd := exec.Command(os.Getenv("NODE"), os.Getenv("APP"))
		if pre := os.Getenv("PRELOAD"); pre != "" {
			cmd.Args = []string{os.Getenv("NODE"), "--require", pre, os.Getenv("APP")}
		}
		cmd.Env = append(os.Environ(), "NODE_CHANNEL_FD=3", fmt.Sprintf("NODE_UNIQUE_ID=%d", i+1))
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		theirs.Close()
		defer cmd.Wait()
		defer cmd.Process.Kill()
		_, err = Attach(WorkerOptions{Channel: ours, Primary: p, Slot: i, Event: func(e Event) {
			if e.Kind == Listening {
				listening <- e
			}
		}})
		if err != nil {
			return err
		}
	}
	var addr string
	for range n {
		addr = localAddr((<-listening).Addr)
	}
	fmt.Println(addr[len("127.0.0.1:"):])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// daemonMain is a daemon that will be killed: it takes up the channels (from descriptor 4 on) and
// the listening socket (3) that its parent keeps, with the state that was saved in DIR.
func daemonMain() error {
	dir := os.Getenv("DIR")
	n, err := strconv.Atoi(os.Getenv("WORKERS"))
	if err != nil {
		return err
	}
	kept := os.NewFile(3, "listener")
	l, err := net.FileListener(kept)
	if err != nil {
		return err
	}
	addr := l.Addr()
	l.Close()
	fresh := newSockets(os.Getenv("POLICY") != "shared")
	open := func(r Request) (*Socket, error) {
		if r.Port == 0 {
			return fresh.Open(r)
		}
		dup, err := dupFile(kept)
		return &Socket{File: dup, Addr: addr, HandOff: fresh.handOff}, err
	}
	save := func(name string) func([]byte) {
		return func(b []byte) {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(file+".new", b, 0o600), os.Rename(file+".new", file)); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	saved := func(name string) []byte {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		return b
	}
	log, err := os.OpenFile(filepath.Join(dir, "messages"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	p := NewPrimary(PrimaryOptions{Open: open, Saved: saved("primary"), Save: save("primary")})
	var workers []*Worker
	for i := range n {
		name := fmt.Sprint("worker", i)
		w, err := Attach(WorkerOptions{
			Channel: os.NewFile(uintptr(4+i), name), Primary: p, Slot: i, Saved: saved(name), Save: save(name),
			Event: func(e Event) {
				switch e.Kind {
				case Message:
					if strings.HasPrefix(string(e.Message[:8]), `{"huge"`) {
						return
					}
					var worker string
					var n int
					if _, err := fmt.Sscanf(string(e.Message[:min(len(e.Message), 60)]), `{"worker":%q,"n":%d,`, &worker, &n); err != nil {
						fmt.Fprintf(os.Stderr, "message torn: %v in %.80q\n", err, e.Message)
					}
					fmt.Fprintln(log, worker, n)
				case Warning, Disconnected:
					fmt.Fprintln(os.Stderr, "worker", i, e.Kind, e.Text)
				}
			},
		})
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	fmt.Println("up")
	for i := 0; ; i++ {
		for _, w := range workers {
			size := i * 79 % 1000
			if i%20 == 0 {
				size = 60000 // more than is written in one piece
			}
			err := w.Send(fmt.Appendf(nil, `{"n":%d,"size":%d,"pad":"%s"}`, i, size, strings.Repeat("y", size)))
			if err != nil && !errors.Is(err, ErrBusy) {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}
