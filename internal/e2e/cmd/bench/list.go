package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"paceline/internal/e2e/sandbox"
)

// many is the app of which there are hundreds.
const many = "many"

// sleepers starts n processes that do nothing.
func sleepers(ctx context.Context, box *sandbox.Sandbox, n int) error {
	_, err := box.Pace(ctx, "start", "sleep", "--name", many, "-i", strconv.Itoa(n), "--", "100000")
	return err
}

// timed is how long a command takes from exec to exit, its output to /dev/null.
func timed(ctx context.Context, box *sandbox.Sandbox, args ...string) (time.Duration, error) {
	cmd := box.Command(ctx, args...)
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun)
	if err != nil {
		err = fmt.Errorf("pace %v: %w", args, err)
	}
	return took, err
}

func measureList(ctx context.Context, b *bench) error {
	return errors.Join(nothing(ctx, b), listAmong(ctx, b, 100, 8, true), listAmong(ctx, b, 500, 10, false))
}

// nothing is what a process costs here that does nothing: the floor of all rows.
func nothing(ctx context.Context, b *bench) error {
	var took, version []time.Duration
	for range 30 {
		for _, c := range []struct {
			to   *[]time.Duration
			argv []string
		}{{&took, []string{"true"}}, {&version, []string{b.pace, "version"}}} {
			begun := time.Now()
			if err := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...).Run(); err != nil {
				return err
			}
			*c.to = append(*c.to, time.Since(begun))
		}
	}
	b.table.info("for comparison: true, "+spread(took), figure(ms(median(took)))+" ms")
	b.table.info("for comparison: pace version, which asks no daemon, "+spread(version), figure(ms(median(version)))+" ms")
	return nil
}

func listAmong(ctx context.Context, b *bench, n int, limit float64, others bool) (err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if err := sleepers(ctx, box, n); err != nil {
		return err
	}
	// Let the first samples of so many new processes be over.
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	var took []time.Duration
	for range 30 {
		d, err := timed(ctx, box, "list")
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b.table.atMost(fmt.Sprintf("pace list, %d processes, %s", n, spread(took)), ms(median(took)), limit, "ms")
	if others {
		return oneAmong(ctx, b, box, n)
	}
	return nil
}

// oneAmong measures the commands that change one process of n.
func oneAmong(ctx context.Context, b *bench, box *sandbox.Sandbox, n int) error {
	commands := [][]string{
		{"start", "sleep", "--name", "one", "--", "100000"},
		{"restart", "one"},
		{"stop", "one"},
		{"delete", "one"},
	}
	took := make([][]time.Duration, len(commands))
	for range 20 {
		for i, args := range commands {
			d, err := timed(ctx, box, args...)
			if err != nil {
				return err
			}
			took[i] = append(took[i], d)
		}
	}
	for i, args := range commands {
		what := fmt.Sprintf("pace %s of one sleep among %d, %s", args[0], n, spread(took[i]))
		if args[0] == "delete" {
			b.table.info(what, figure(ms(median(took[i])))+" ms")
			continue
		}
		b.table.atMost(what, ms(median(took[i])), 15, "ms")
	}
	return nil
}
