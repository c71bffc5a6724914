// Command soak keeps servers under load and under trouble for as long as it is told, and checks that nobody notices.
//
// Each round reloads, scales, blocks and kills copies of a Go and of a Node server
// and kills the daemon, in an order of its own, while requests come at a steady
// rate, each on a new connection. It prints a row per round and exits with 1 if a
// request hung, or failed although no process that could have accepted it was
// killed, or if keeper or daemon hold more and more descriptors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pace := flags.String("pace", "bin/pace", "the pace `binary` to try")
	golang := flags.String("go", "", "the Go `server`, built; empty: without it")
	node := flags.String("node", "", "the Node `script`; empty: without it")
	duration := flags.Duration("duration", 10*time.Minute, "how long; the round that has begun then is finished")
	rate := flags.Float64("rate", 200, "requests per second and server")
	seed := flags.Uint64("seed", rand.Uint64(), "of the order of what happens")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	s := &soak{w: stdout, random: rand.New(rand.NewPCG(*seed, 0)), rate: *rate}
	s.printf("seed %d, %v, %v requests/s to each server\n", *seed, *duration, *rate)
	for _, c := range []struct {
		name, file string
		copies     int
	}{{"go", *golang, 4}, {"node", *node, 2}} {
		if c.file != "" {
			s.servers = append(s.servers, &server{name: c.name, file: c.file, copies: c.copies})
		}
	}
	err := errors.Join(s.open(ctx, *pace), s.rounds(ctx, *duration))
	err = errors.Join(err, s.close(ctx))
	if ctx.Err() != nil {
		err = errors.Join(errors.New("interrupted"), err)
	}
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err) //nolint:errcheck // there is nowhere left to say it
		return 1
	}
	if !s.verdict() {
		return 1
	}
	return 0
}
