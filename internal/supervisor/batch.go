package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"paceline/internal/app"
)

// batch is a set of instances that were given an order, and the place where
// their reports arrive.
type batch struct {
	s       *shared
	members []*instance
	replies chan report // has room for all
}

func (s *shared) newBatch(size int) *batch { return &batch{s: s, replies: make(chan report, size)} }

// dispatch orders the slots' instances to do m and to report when until holds.
// They all begin at once; ctx bounds only the waiting.
func (s *shared) dispatch(ctx context.Context, slots []*slot, m message, until func(view) bool) *batch {
	beside := 0 // end adds those to the same batch
	for _, sl := range slots {
		beside += len(sl.beside)
	}
	b := s.newBatch(len(slots) + beside)
	for _, sl := range slots {
		b.send(ctx, []*instance{sl.current.Load()}, m, until)
	}
	return b
}

// send adds instances to the batch. It never blocks.
func (b *batch) send(ctx context.Context, ins []*instance, m message, until func(view) bool) {
	for _, in := range ins {
		b.members = append(b.members, in)
		w := waiter{until: until, reply: b.replies, left: ctx.Done()}
		if !in.box.put(order{message: m, waiter: w}) {
			<-in.done
			b.replies <- in.report()
		}
	}
}

// collect waits for the reports of the whole batch. On an error it returns those
// that have come.
func (b *batch) collect(ctx context.Context) ([]report, error) {
	reports := make([]report, 0, len(b.members))
	for range b.members {
		select {
		case r := <-b.replies:
			reports = append(reports, r)
		case <-ctx.Done():
			return reports, ctx.Err()
		case <-b.s.closed:
			return reports, ErrClosed
		}
	}
	return reports, nil
}

// settle waits until the instances that were told to start are ready, have
// failed or have had their listen_timeout.
func (b *batch) settle(ctx context.Context, verb string) ([]app.Status, error) {
	if _, err := b.collect(ctx); err != nil {
		return b.statuses(), err
	}
	var limit time.Duration
	for _, in := range b.members {
		limit = max(limit, time.Duration(in.slot.group.spec.Load().ListenTimeout))
	}
	// A little longer, so that the instances' own timers say it first. They would
	// be enough if a crash did not begin a new life with a new timer.
	limited, cancel := context.WithTimeout(ctx, limit+settleGrace)
	defer cancel()
	again := b.s.newBatch(len(b.members))
	again.send(limited, b.members, nil, settled)
	reports, err := again.collect(limited)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
		return b.statuses(), err
	}
	slices.SortFunc(reports, func(a, b report) int { return cmp.Compare(a.status.ID, b.status.ID) })
	reports = slices.DeleteFunc(reports, func(r report) bool {
		return r.phase != errored && r.phase != stuck && r.phase != held
	})
	if len(reports) == 0 {
		return b.statuses(), nil
	}
	text := fmt.Sprintf("%s %s: %s", verb, reports[0].name(), reports[0].status.Reason)
	if more := len(reports) - 1; more > 0 {
		text += fmt.Sprintf(" (and %s more)", count(more, "instance"))
	}
	return b.statuses(), &failure{ErrStartFailed, text}
}

// settleGrace is what is added to listen_timeout; see settle.
const settleGrace = 100 * time.Millisecond

// statuses are the present ones of the batch's slots, by id.
func (b *batch) statuses() []app.Status {
	list := make([]app.Status, 0, len(b.members))
	for _, in := range b.members {
		if in.slot.current.Load() == in {
			list = append(list, in.slot.show())
		}
	}
	slices.SortFunc(list, func(a, b app.Status) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// name is how an error names the instance.
func (r report) name() string { return fmt.Sprintf("%s (id %d)", r.status.Name, r.status.ID) }

// What can be waited for.

func always(view) bool { return true }

// atRest: the process is gone or cannot be ended, or a later command wants
// something else.
func atRest(v view) bool {
	return !v.phase.alive() || v.phase == stuck || (v.then != thenStop && v.then != thenEnd && v.then != thenDrain)
}

// atEnd: it cannot be ended. The end itself is reported to every waiter.
func atEnd(v view) bool { return v.phase == stuck }

// launched: the attempt to start it is over.
func launched(v view) bool {
	switch v.phase {
	case spawning, draining, stopping, killing, clearing:
		return false
	case held:
		return v.blocked
	}
	return true
}

// settled: it is ready, or late, or will not become it without more time.
func settled(v view) bool {
	switch v.phase {
	case launching:
		return v.late
	case online:
		return v.ready || v.late || !policyOf(v.spec).shows()
	}
	return launched(v)
}
