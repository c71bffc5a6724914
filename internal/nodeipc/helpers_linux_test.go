package nodeipc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
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

func daemonMain() error { return nil }
