package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"paceline/internal/e2e/sandbox"
)

func measureSleepers(ctx context.Context, b *bench) (err error) {
	const n, rounds = 500, 5
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if _, err := box.Pace(ctx, "ping"); err != nil {
		return err
	}
	var starts, deletes []time.Duration
	for range rounds {
		d, err := timed(ctx, box, "start", "sleep", "--name", many, "-i", strconv.Itoa(n), "--", "100000")
		if err != nil {
			return err
		}
		starts = append(starts, d)
		if _, err := box.WaitStatus(ctx, n, "online"); err != nil {
			return err
		}
		if d, err = timed(ctx, box, "delete", many); err != nil {
			return err
		}
		deletes = append(deletes, d)
	}
	b.table.atMost(fmt.Sprintf("pace start sleep -i %d, %s", n, spread(starts)), median(starts).Seconds(), 0.8, "s")
	b.table.atMost(fmt.Sprintf("pace delete of the %d, %s", n, spread(deletes)), median(deletes).Seconds(), 0.5, "s")
	return nil
}
