package main

import (
	"context"
	"errors"
	"fmt"
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
	return errors.Join(listAmong(ctx, b, 100, 8, true), listAmong(ctx, b, 500, 10, false))
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
	b.table.atMost(fmt.Sprintf("pace list, %d processes, median of %d", n, len(took)), ms(median(took)), limit, "ms")
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
		what := fmt.Sprintf("pace %s of one sleep among %d, median of %d", args[0], n, len(took[i]))
		if args[0] == "delete" {
			b.table.info(what, figure(ms(median(took[i])))+" ms")
			continue
		}
		b.table.atMost(what, ms(median(took[i])), 15, "ms")
	}
	return nil
}
