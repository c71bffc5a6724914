// Package hooks does what apps want to be done when something happens to them: it runs
// commands and posts to URLs.
//
// Nobody waits for a hook. Each has a queue of its own, of MaxWaiting events, and does
// one at a time, so that one that hangs is late for itself alone. A hook acts at once
// on the first event of its kind and app; what of the same kind follows within Interval
// is put together, and is one act at the end of that time, with the last event and
// their number: a crash loop costs an act per Interval. What fails is told once, until
// it works again. What is under way or waits when the daemon ends is lost.
package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"paceline/internal/app"
)

// Interval is how often a hook acts at most on events of one kind and app.
const Interval = 30 * time.Second

// MaxWaiting bounds the acts of one hook that wait.
const MaxWaiting = 64

// maxRunning bounds the acts of all hooks that are done at the same time.
const maxRunning = 32

// Bound is a hook with whose it is.
type Bound struct {
	app.Hook
	Owner string    // the app that has it; "" for one of all apps
	Index int       // among the owner's
	Dir   string    // where a command runs; "" is the daemon's
	User  *app.User // whom it runs as; nil: as the daemon
}

// name says which hook it is, for people.
func (b *Bound) name() string {
	owner := "of all apps"
	if b.Owner != "" {
		owner = "of " + b.Owner
	}
	return fmt.Sprintf("hook %d %s (%s)", b.Index+1, owner, b.Target())
}

// Options says how hooks act.
type Options struct {
	Home string // for commands that call pace
	// Report is told of a hook that fails, and that it works again; Log of the rest.
	Report func(owner, text string)
	Log    func(format string, a ...any)
	// Prepare makes a command one of the user. Nil: nothing is to be done.
	Prepare func(*exec.Cmd, *app.User)

	interval time.Duration   // instead of Interval, in tests
	pauses   []time.Duration // instead of those of webhooks, in tests
}

// Runner does what hooks want. Its methods may be called concurrently, before Close.
type Runner struct {
	options Options
	ctx     context.Context
	cancel  context.CancelFunc
	turns   chan struct{} // has room for maxRunning
	all     sync.WaitGroup

	mu     sync.Mutex        // guards queues
	queues map[string]*queue // by owner, index and what is done
}

// New returns a Runner without hooks.
func New(o Options) *Runner {
	if o.interval == 0 {
		o.interval = Interval
	}
	if o.pauses == nil {
		o.pauses = []time.Duration{time.Second, 4 * time.Second, 16 * time.Second, 64 * time.Second}
	}
	if o.Prepare == nil {
		o.Prepare = func(*exec.Cmd, *app.User) {}
	}
	r := &Runner{options: o, turns: make(chan struct{}, maxRunning), queues: map[string]*queue{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close ends what is under way, and returns when all of it has ended.
func (r *Runner) Close() {
	r.cancel()
	r.all.Wait()
}

// Hear lets a hook act on an event, if it is for it. It never waits.
func (r *Runner) Hear(b Bound, e app.Event) {
	word := b.Wants(&e)
	if word == "" || r.ctx.Err() != nil {
		return
	}
	key := fmt.Sprintf("%s\x00%d\x00%s\x00%q", b.Owner, b.Index, b.Webhook, b.Exec)
	r.mu.Lock()
	q := r.queues[key]
	if q == nil {
		q = &queue{runner: r, kinds: map[kind]*burst{}, wake: make(chan struct{}, 1)}
		r.queues[key] = q
	}
	r.mu.Unlock()
	q.hear(b, word, e)
}

// act is one thing to do.
type act struct {
	hook  Bound
	word  app.HookWord
	event app.Event
	count int // how many events it stands for
}

// Message is what a hook is given: a command on its standard input, a URL as the body.
type Message struct {
	Text  string       `json:"text"`  // one line, for people
	On    app.HookWord `json:"on"`    // what the hook is for
	Count int          `json:"count"` // how many events of this kind it stands for
	Host  string       `json:"host"`  // of this machine
	Event app.Event    `json:"event"` // the last one of them
}

func (a *act) message() ([]byte, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return json.Marshal(Message{Text: a.text(host), On: a.word, Count: a.count, Host: host, Event: a.event})
}

// text says it in one line.
func (a *act) text(host string) string {
	what := a.event.Name
	if a.event.ID >= 0 {
		what += fmt.Sprintf(" (%d)", a.event.ID)
	}
	if what == "" {
		what = "paceline"
	}
	text := fmt.Sprintf("%s on %s: %s", what, host, a.word)
	switch {
	case a.event.Exit != nil:
		text += ": " + a.event.Exit.String()
		if n := len(a.event.Exit.Stderr); n > 0 {
			text += ": " + a.event.Exit.Stderr[n-1]
		}
	case a.event.Detail != "":
		text += ": " + a.event.Detail
	}
	if a.count > 1 {
		text += fmt.Sprintf(" (%d times)", a.count)
	}
	return text
}

// do does it, and tells if that fails or works again.
func (q *queue) do(a act) {
	r := q.runner
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-r.ctx.Done():
		return
	}
	body, err := a.message()
	if err == nil {
		if a.hook.Webhook != "" {
			err = r.post(&a, body)
		} else {
			err = r.run(&a, body)
		}
	}
	switch {
	case r.ctx.Err() != nil:
		r.options.Log("%s: left undone for %s of %s, as the daemon ends", a.hook.name(), a.word, a.event.Name)
	case err != nil && !q.failing:
		q.failing = true
		r.options.Report(a.hook.Owner, fmt.Sprintf("%s: %v; further failures are in the daemon's log", a.hook.name(), err))
	case err != nil:
		r.options.Log("%s: %v", a.hook.name(), err)
	case q.failing:
		q.failing = false
		r.options.Report(a.hook.Owner, a.hook.name()+" works again")
	}
}
