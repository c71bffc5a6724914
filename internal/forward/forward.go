package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/logs/search"
)

const (
	saveEvery  = time.Second
	firstWait  = 100 * time.Millisecond // before another try to reach the receiver
	longWait   = 30 * time.Second
	talkWithin = 5 * time.Second // how long connecting and sending may take
)

// Options are what a Manager needs.
type Options struct {
	Pump *logs.Pump // tells when logs grow; nil: they are looked at
	Dir  string     // where it is kept what has been sent; made if it is missing
	// Tell gets what the user should know of an app's forwarding. It is called from
	// several goroutines.
	Tell func(app, text string)
}

// Manager forwards the logs of apps. Its methods may be called concurrently.
type Manager struct {
	options Options
	ctx     context.Context
	end     context.CancelFunc
	work    sync.WaitGroup

	mu   sync.Mutex // guards apps
	apps map[string]*forwarder
}

// New returns a manager without apps.
func New(o Options) *Manager {
	m := &Manager{options: o, apps: map[string]*forwarder{}}
	m.ctx, m.end = context.WithCancel(context.Background())
	return m
}

// Close ends forwarding. What has not been sent is sent when the next manager is told
// of the same logs.
func (m *Manager) Close() {
	m.end()
	m.work.Wait()
}

// Watch forwards logs of an app from now on, or from where an earlier manager was. It
// is called before a process of the app starts, and returns at once. Logs that are
// forwarded already go on; if the target is another one, to that.
func (m *Manager) Watch(name, target string, sources []search.Source) error {
	to, err := app.ParseForward(target)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.apps[name]
	if f != nil && f.to != to {
		f.end()
		<-f.done
		delete(m.apps, name)
		f = nil
	}
	if to == (app.Forward{}) {
		return nil
	}
	if f == nil {
		if f, err = m.begin(name, to); err != nil {
			return err
		}
		m.apps[name] = f
	}
	for _, s := range sources {
		if err := f.add(s); err != nil {
			return fmt.Errorf("forward log of %s: %w", name, err)
		}
	}
	return nil
}

// Forget ends the forwarding of an app, and what is known of it.
func (m *Manager) Forget(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.apps[name]
	if f == nil {
		return nil
	}
	f.end()
	<-f.done
	delete(m.apps, name)
	if err := os.Remove(f.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what was forwarded of %s: %w", name, err)
	}
	return nil
}

// forwarder sends the logs of one app. Its goroutine owns all but what is guarded.
type forwarder struct {
	name     string
	to       app.Forward
	file     string
	tell     func(app, text string)
	follower *logs.Follower
	end      context.CancelFunc
	done     chan struct{}

	conn    sender // nil if there is none
	down    bool   // it was told that the receiver cannot be reached
	skipped bool   // and that lines were left out since

	mu      sync.Mutex // guards what follows
	filters map[string]*search.Filter
	places  map[string]logs.Position // by path: what has been sent
	dirty   bool
}

// begin starts the forwarder of an app.
func (m *Manager) begin(name string, to app.Forward) (*forwarder, error) {
	if err := os.MkdirAll(m.options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	f := &forwarder{
		name: name, to: to, tell: m.options.Tell, file: filepath.Join(m.options.Dir, fileName(name)),
		follower: logs.NewFollower(logs.FollowOptions{Pump: m.options.Pump, Follow: true}),
		done:     make(chan struct{}), filters: map[string]*search.Filter{}, places: map[string]logs.Position{},
	}
	text, err := os.ReadFile(f.file)
	if err == nil {
		err = json.Unmarshal(text, &f.places)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.tell(name, fmt.Sprintf("what was forwarded before cannot be read, so it goes on with what is new: %v", err))
		f.places = map[string]logs.Position{}
	}
	ctx, end := context.WithCancel(m.ctx)
	f.end = end
	m.work.Go(func() { f.run(ctx) })
	return f, nil
}

// fileName makes an app's name safe: names are unique, and so are these.
func fileName(name string) string { return fmt.Sprintf("%x.json", name) }

// add forwards a log, once.
func (f *forwarder) add(s search.Source) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.filters[s.Path] != nil {
		return nil
	}
	filter, err := search.NewFilter(search.Query{}, s)
	if err != nil {
		return err
	}
	from, ok := f.places[s.Path]
	if !ok {
		if from, err = logs.End(s.Path); err != nil {
			return err
		}
		f.places[s.Path], f.dirty = from, true
	}
	f.filters[s.Path] = filter
	return f.follower.AddAt(s.Source, from)
}

// run sends lines until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	defer close(f.done)
	saved := make(chan struct{})
	go func() { // ends with ctx
		defer close(saved)
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.save()
			}
		}
	}()
	for {
		line, err := f.follower.Next(ctx)
		if err != nil {
			break // ctx has ended: that is the only error of a follower that waits
		}
		if line.Skipped != 0 {
			f.tellSkipped(line.Skipped)
			continue
		}
		f.mu.Lock()
		filter := f.filters[line.Path]
		f.mu.Unlock()
		if !f.send(ctx, f.recordOf(line, filter)) {
			break
		}
		f.mu.Lock()
		f.places[line.Path], f.dirty = line.End, true
		f.mu.Unlock()
	}
	<-saved
	f.save()
	if f.conn != nil {
		_ = f.conn.Close() // what could be sent has been
	}
	if err := f.follower.Close(); err != nil {
		f.tell(f.name, err.Error())
	}
}

// tellSkipped tells that lines were left out, once until the receiver is there again.
func (f *forwarder) tellSkipped(n int64) {
	if f.skipped {
		return
	}
	f.skipped = true
	what := "lines were"
	if n > 0 {
		what = fmt.Sprintf("%d bytes of lines were", n)
	}
	f.tell(f.name, fmt.Sprintf("%s not forwarded to %s, which took them too slowly; they are in the log files", what, f.to.Address))
}

// recordOf is a line as it is sent.
func (f *forwarder) recordOf(line logs.Line, filter *search.Filter) record {
	r := record{app: line.Name, id: line.ID, stream: line.Stream, at: line.At, text: []byte(line.Text)}
	at, level, _ := filter.Wants(r.text)
	if r.level = level; !at.IsZero() {
		r.at = at
	}
	if r.at.IsZero() {
		r.at = time.Now()
	}
	return r
}

// send sends a record, however long it takes; false if ctx has ended.
func (f *forwarder) send(ctx context.Context, r record) bool {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		err := f.try(ctx, r)
		if err == nil {
			if f.down {
				f.down, f.skipped = false, false
				f.tell(f.name, fmt.Sprintf("logs are forwarded to %s again", f.to.Address))
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !f.down && wait > firstWait { // a receiver that restarts is not worth a word
			f.down = true
			f.tell(f.name, fmt.Sprintf("logs cannot be forwarded to %s: %v; they wait in the log files", f.to.Address, err))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// try sends a record over the connection that there is, or a new one.
func (f *forwarder) try(ctx context.Context, r record) error {
	if f.conn == nil {
		conn, err := dial(ctx, f.to)
		if err != nil {
			return err
		}
		f.conn = conn
	}
	err := f.conn.send(r)
	if err != nil {
		_ = f.conn.Close() // it is broken
		f.conn = nil
	}
	return err
}

// save keeps what has been sent.
func (f *forwarder) save() {
	f.mu.Lock()
	dirty := f.dirty
	f.dirty = false
	text, err := json.Marshal(f.places)
	f.mu.Unlock()
	if !dirty {
		return
	}
	// Without waiting for the disk: after a power failure the logs are not there either.
	if err == nil {
		err = os.WriteFile(f.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(f.file+".new", f.file)
	}
	if err != nil {
		f.tell(f.name, fmt.Sprintf("what has been forwarded cannot be kept: %v", err))
	}
}
