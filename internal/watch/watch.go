package watch

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	// Quiet is how long nothing must change before Fire is called.
	Quiet = 100 * time.Millisecond
	// Longest is how long after a first change Fire is called even if there is no
	// quiet, not counting Rule.Delay.
	Longest = 2 * time.Second

	// recheck is how often what no event may tell is looked at.
	recheck = 30 * time.Second
	// someChanged is how many paths Fire is given.
	someChanged = 5
)

// Rule says what is to be watched for one app.
type Rule struct {
	// Paths are absolute: folders, files, or globs (doublestar's: *, **, ?, [a-z],
	// {a,b}). What exists under the very name is no glob. A glob whose last part has
	// no wildcard ("packages/*/src") stands for all that is in the folders it names.
	Paths []string
	// Ignore tells what is not watched, by one of
	//   - a name or glob without a slash, at any depth: "logs", "*.log";
	//   - one with a slash, absolute or relative to Base: "client/img", "./tmp/**";
	//   - a regular expression between slashes: "/\.(tmp|bak)$/i". As in PM2 one
	//     that holds "[\/\\]" is known without them. It is matched against the whole
	//     path, but not within the part above the watched folder;
	//   - any of them after "!": not ignored whatever the others say, unless a folder
	//     above it is ignored.
	// Nil means dotfiles and node_modules; a list, even an empty one, replaces that.
	// The Paths themselves are never ignored.
	Ignore []string
	// Base is the app's absolute working directory.
	Base string
	// Delay is how long to wait after a change before Fire is called; 0 by default.
	Delay time.Duration
	// Own are absolute paths of files that the app's own running writes: logs and
	// pid files. They never count, nor does what rotation makes of them: NAME.1,
	// NAME.1.gz and the like. A folder stands for all that is in it.
	Own []string
}

// Validate says what is wrong with a rule. Nothing need exist.
func (r Rule) Validate() error {
	for _, p := range append(append([]string{}, r.Paths...), r.Own...) {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("watch %q: not an absolute path", p)
		}
	}
	if r.Base != "" && !filepath.IsAbs(r.Base) {
		return fmt.Errorf("watch in %q: not an absolute path", r.Base)
	}
	for _, p := range r.Paths {
		if !doublestar.ValidatePathPattern(p) && !exists(p) {
			return fmt.Errorf("watch %q: not a valid glob; escape [ and { by a backslash", p)
		}
		if tooManyChoices(p) && !exists(p) {
			return fmt.Errorf("watch %q: %w", p, errTooManyChoices)
		}
	}
	if r.Delay < 0 {
		return errors.New("watch delay is negative")
	}
	_, err := newFilter(r)
	return err
}

// equal reports whether both watch the same in the same way.
func (r Rule) equal(o Rule) bool {
	return r.Base == o.Base && r.Delay == o.Delay && slices.Equal(r.Paths, o.Paths) &&
		slices.Equal(r.Own, o.Own) && slices.Equal(r.Ignore, o.Ignore) && (r.Ignore == nil) == (o.Ignore == nil)
}

// Options are what a Watcher needs.
type Options struct {
	// Log gets what goes wrong later: limits of the system, folders that may not be
	// read. Nil means slog.Default.
	Log *slog.Logger
	// Fire is called when files of the app have changed, with a few of their paths,
	// sorted. Calls for one app never overlap, those for several do. It may call Sync
	// but not Close.
	Fire func(name string, changed []string)

	add func(path string) error // for tests: is asked before a folder is watched
}

// Watcher watches the files of several apps. Its methods may be called from any
// goroutine.
type Watcher struct {
	fire func(name string, changed []string)

	syncs   chan syncCall
	fired   chan string // a call of fire has returned
	closing chan struct{}
	close   sync.Once
	running sync.WaitGroup // the loop and calls of fire
	err     error          // of closing; to be read when running is done
}

type syncCall struct {
	rules map[string]Rule
	done  chan struct{}
}

// New returns a Watcher that watches nothing yet; Close ends its goroutine.
func New(o Options) *Watcher {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	w := &Watcher{
		fire:    o.Fire,
		syncs:   make(chan syncCall),
		fired:   make(chan string),
		closing: make(chan struct{}),
	}
	l := newLoop(w, o)
	w.running.Go(func() { w.err = l.run() })
	return w
}

// Sync makes rules, by the names of apps, all that is watched from now on. A rule
// that has not changed keeps its watches and what is due. When Sync returns, every
// change that follows will be seen; so it reads all folders of new rules, which
// takes about 10 µs for each file. Rules must have passed Validate: one that has
// not is logged and watches nothing.
func (w *Watcher) Sync(rules map[string]Rule) {
	call := syncCall{rules: rules, done: make(chan struct{})}
	select {
	case w.syncs <- call:
		<-call.done
	case <-w.closing:
	}
}

// Close ends the watching, waits for calls of Fire that are running, and returns
// the error of the system's watcher, if any. Nothing is fired any more.
func (w *Watcher) Close() error {
	w.close.Do(func() { close(w.closing) })
	w.running.Wait()
	return w.err
}
