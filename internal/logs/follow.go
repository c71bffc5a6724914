package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultMaxLag is how far a Follower may be behind.
	DefaultMaxLag = 8 << 20
	// MaxLineBytes is the length from which a line is delivered in pieces.
	MaxLineBytes = 1 << 20

	pollEvery   = 200 * time.Millisecond // without a pump that tells
	lookEvery   = time.Second            // with one: others may write, too
	unendedFor  = time.Second            // how long the beginning of a line is held back
	resumeBytes = 64 << 10               // what is read again of a log that was skipped
)

// FollowOptions are what a Follower does.
type FollowOptions struct {
	// Pump tells when logs grow. It may be nil: then they are looked at five times
	// a second.
	Pump *Pump
	// Follow waits for more when all there is has been read.
	Follow bool
	// MaxLagBytes is how far behind the end of a log the follower may fall before
	// it skips; zero means DefaultMaxLag. What was there when the source was added
	// is never skipped.
	MaxLagBytes int64
}

// Source is a log to follow. All but Path is handed through.
type Source struct {
	Path   string
	ID     int
	Name   string
	Stream string
}

// Line is a line of a log.
type Line struct {
	Source
	// At is when the line was read, which is a moment after it was written; zero if it
	// was there before.
	At time.Time
	// Text is the line as it stands in the file, without its newline. Any other bytes
	// may be in it.
	Text string
	// More says that the line is not complete: it is longer than MaxLineBytes, or
	// its end has not been written for a second. The source's next Line has Rest
	// set and goes on with it, if with nothing but its end; unless the log was
	// truncated or skipped in between.
	More bool
	Rest bool
	// End is the place after the line, for AddAt.
	End Position
	// Skipped is how many bytes were left out before this line, because the reader
	// was too slow; -1 if that is not known. Text is empty then.
	Skipped int64
}

// Follower reads logs, what has been rotated included, and follows them as they
// grow, are rotated, truncated or made anew. It starts no goroutine and holds
// back nobody: what its caller is too slow for stays in the files, and is left out
// when it becomes too much.
type Follower struct {
	options FollowOptions
	tails   []*tail // in the order of delivery
	turn    int     // who is next
	begun   bool
	looked  time.Time
	spare   []byte // memory for the next tail that reads
	bell    *bell

	mu    sync.Mutex // guards added
	added []*tail
}

// bell collects which logs have changed, for a follower that may be busy.
type bell struct {
	ch chan struct{}
	mu sync.Mutex // guards rung
	// rung has each tail once at most.
	rung map[*tail]bool
}

// ring is called by the pump and never waits for the follower.
func (b *bell) ring(t *tail) {
	b.mu.Lock()
	b.rung[t] = true
	b.mu.Unlock()
	select {
	case b.ch <- struct{}{}:
	default: // it is on its way
	}
}

// take marks the tails that have changed.
func (b *bell) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for t := range b.rung {
		t.fresh = true
	}
	clear(b.rung)
}

// NewFollower returns a follower without sources.
func NewFollower(o FollowOptions) *Follower {
	if o.MaxLagBytes == 0 {
		o.MaxLagBytes = DefaultMaxLag
	}
	return &Follower{options: o, bell: &bell{ch: make(chan struct{}, 1), rung: map[*tail]bool{}}}
}

// Add adds a log from its last lines on; a negative number means all there is. A
// log that does not exist is waited for; one that is a FIFO or a device has no
// lines. It may be called at any time, also while
// another goroutine waits in Next.
func (f *Follower) Add(s Source, lines int) error {
	t, err := openTail(s, lines, f.options.MaxLagBytes)
	if err != nil {
		return err
	}
	f.add(t)
	return nil
}

// AddAt adds a log from a place on that it had before, also if its files have been
// rotated and compressed since. If what comes after that place is there no more, the
// first thing that Next tells is that some was left out. The zero position is the
// beginning of all there is.
func (f *Follower) AddAt(s Source, from Position) error {
	t, err := openTail(s, -1, f.options.MaxLagBytes)
	if err != nil {
		return err
	}
	if from != (Position{}) {
		t.seekTo(from)
	}
	f.add(t)
	return nil
}

func (f *Follower) add(t *tail) {
	if f.options.Pump != nil && f.options.Follow {
		// If the pump is closed, looking every second has to do.
		t.stop, _ = f.options.Pump.watch(t.source.Path, func() { f.bell.ring(t) })
	}
	f.mu.Lock()
	f.added = append(f.added, t)
	f.mu.Unlock()
	f.bell.ring(t)
}

// Next returns the next line. It blocks until there is one, or ctx is done. The
// lines of a log come in their order; logs that are added before the first call
// of Next come one after the other, the one that changed last at the end, up to
// where they are at that time. Errors: io.EOF when all is read and FollowOptions.Follow
// is not set, and those of ctx. One goroutine at a time may call it.
func (f *Follower) Next(ctx context.Context) (Line, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Line{}, err
		}
		if line, ok := f.scan(); ok {
			return line, nil
		}
		if !f.options.Follow {
			return Line{}, io.EOF
		}
		if err := f.wait(ctx); err != nil {
			return Line{}, err
		}
	}
}

// scan asks each source that may have something, beginning with the one that had
// something last: it has more in its buffer.
func (f *Follower) scan() (Line, bool) {
	f.adopt()
	now := time.Now()
	if every := f.every(); now.Sub(f.looked) >= every {
		f.looked = now
		for _, t := range f.tails {
			t.fresh = true
		}
	}
	f.bell.take()
	for range f.tails {
		t := f.tails[f.turn%len(f.tails)]
		if t.fresh {
			if line, ok := t.next(now, f); ok {
				// A busy log takes turns with the others, buffer by buffer.
				if !t.historic() && bytes.IndexByte(t.buf[t.from:], '\n') < 0 {
					f.turn = (f.turn + 1) % len(f.tails)
				}
				return line, true
			}
			t.fresh = false
		}
		f.turn = (f.turn + 1) % len(f.tails)
	}
	return Line{}, false
}

func (f *Follower) every() time.Duration {
	if f.options.Pump == nil {
		return pollEvery
	}
	return lookEvery
}

// adopt takes over what was added.
func (f *Follower) adopt() {
	f.mu.Lock()
	added := f.added
	f.added = nil
	f.mu.Unlock()
	for _, t := range added {
		t.fresh = true
	}
	f.tails = append(f.tails, added...)
	if !f.begun && len(added) > 0 {
		f.begun = true
		slices.SortStableFunc(f.tails, func(a, b *tail) int { return a.changed.Compare(b.changed) })
	}
}

func (f *Follower) wait(ctx context.Context) error {
	timer := time.NewTimer(f.every())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.bell.ch:
	case <-timer.C:
	}
	return nil
}

// Close closes the files. It must not be called while Next runs.
func (f *Follower) Close() error {
	f.adopt()
	var err error
	for _, t := range f.tails {
		err = errors.Join(err, t.close())
	}
	f.tails = nil
	return err
}
