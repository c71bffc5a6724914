package web

import (
	"context"
	"errors"
	"log"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

const (
	pollEvery    = time.Second // how often the daemon is asked while somebody looks
	pollTimeout  = 10 * time.Second
	firstRetry   = 20 * time.Millisecond
	lastRetry    = time.Second
	recentEvents = 500 // events that are remembered
	eventBuffer  = 256 // events that a tab may lag behind
)

// row is an instance as the pages show it, without the figures that change each
// second. Comparable, so that only what has changed is sent.
type row struct {
	ID        int       `json:"id"`
	Name      string    `json:"name"`
	Index     int       `json:"index"`
	Mode      app.Mode  `json:"mode"`
	State     app.State `json:"state"`
	Ready     bool      `json:"ready,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Restarts  int       `json:"restarts,omitempty"`
	StartedMS int64     `json:"started,omitempty"`
	NextMS    int64     `json:"next,omitempty"`  // of the next try
	Ports     string    `json:"ports,omitempty"` // apart by blanks
	Balance   string    `json:"balance,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Exit      string    `json:"exit,omitempty"` // how the last process ended, if nobody asked it to
	Draining  bool      `json:"draining,omitempty"`
}

// figures of an instance: CPU in tenths of a per cent of one core, memory in KiB.
type figures struct{ cpu, memory int64 }

func (f figures) tuple(id int) [3]int64 { return [3]int64{int64(id), f.cpu, f.memory} }

// traffic of an app's ports: connections that wait, and that were accepted per
// second, in tenths.
// Accepted is unknown where nobody counts.
type traffic struct{ queue, accepted int64 }

const unknown = -1

// snapshot is what there was at one moment. It does not change.
type snapshot struct {
	at      time.Time
	down    string // why nothing is known; "" normally
	rows    []row  // by id
	figures []figures
	traffic map[string]traffic // by app; nil where the daemon does not tell
}

// feed asks the daemon once for all tabs, and only while there are some. Events it
// follows always, so that a page that is opened knows the last ones.
type feed struct {
	daemon source
	log    *log.Logger
	wake   chan struct{}

	mu     sync.Mutex // guards all below
	tabs   map[*tab]struct{}
	last   *snapshot
	recent []app.Event
}

// tab is a page that follows the feed. A slow one gets the newest state only, and is
// told when events were lost.
type tab struct {
	state  chan *snapshot   // holds one
	events chan []app.Event // nil in it: some were lost
}

func newFeed(daemon source, logger *log.Logger) *feed {
	return &feed{daemon: daemon, log: logger, wake: make(chan struct{}, 1), tabs: map[*tab]struct{}{}}
}

// follow begins to tell a tab; leave ends that.
func (f *feed) follow() (t *tab, leave func()) {
	t = &tab{state: make(chan *snapshot, 1), events: make(chan []app.Event, eventBuffer)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tabs[t] = struct{}{}
	if f.last != nil && time.Since(f.last.at) < 2*pollEvery {
		t.state <- f.last
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return t, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.tabs, t)
	}
}

// newest returns the last events, of an app if one is named, newest last.
func (f *feed) newest(name string, limit int) []app.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []app.Event{}
	for _, e := range slices.Backward(f.recent) {
		if len(list) == limit {
			break
		}
		if name == "" || e.Name == name {
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list
}

// run works until ctx ends.
func (f *feed) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { f.followEvents(ctx) })
	defer wg.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	ports := &portRates{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake: // somebody has come: now
		case <-tick.C:
		}
		if !f.watched() {
			continue
		}
		snap := f.look(ctx, ports)
		f.mu.Lock()
		f.last = snap
		for t := range f.tabs {
			select {
			case <-t.state: // which was not fetched
			default:
			}
			t.state <- snap // we alone send
		}
		f.mu.Unlock()
	}
}

func (f *feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tabs) > 0
}

// look asks the daemon.
func (f *feed) look(ctx context.Context, ports *portRates) *snapshot {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	snap := &snapshot{at: time.Now()}
	list, err := f.daemon.Instances(ctx, api.InstancesQuery{Brief: true})
	if err != nil {
		snap.down = "the daemon does not answer: " + err.Error()
		return snap
	}
	snap.rows, snap.figures = make([]row, len(list)), make([]figures, len(list))
	for i := range list {
		snap.rows[i], snap.figures[i] = rowOf(&list[i]), figuresOf(&list[i])
	}
	if answer, err := f.daemon.Ports(ctx, api.PortsQuery{}); err == nil {
		snap.traffic = ports.rates(snap.at, answer)
	}
	return snap
}

func rowOf(s *app.Status) row {
	r := row{
		ID: s.ID, Name: s.Name, Index: s.Index, Mode: s.Mode, State: s.State, Ready: s.Ready, PID: s.PID,
		Restarts: s.Restarts, StartedMS: milliseconds(s.StartedAt), NextMS: milliseconds(s.NextRestart),
		Ports: strings.Join(s.Ports, " "), Balance: string(s.Balance), Reason: s.Reason, Draining: s.Draining,
	}
	if s.LastExit != nil && !s.LastExit.Wanted {
		r.Exit = s.LastExit.String()
	}
	if s.PID == 0 {
		r.StartedMS = 0
	}
	return r
}

func figuresOf(s *app.Status) figures {
	return figures{cpu: int64(math.Round(s.CPU * 10)), memory: int64(s.MemoryBytes >> 10)}
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// followEvents passes on what happens, and remembers it: the last ones of before,
// then from there on. When the daemon is replaced, it goes on where it was.
func (f *feed) followEvents(ctx context.Context) {
	wait := firstRetry
	q := api.EventsQuery{Follow: true, Lines: recentEvents, Since: time.Unix(0, 1)}
	for ctx.Err() == nil {
		err := f.daemon.Events(ctx, q, api.Handler[app.Event]{
			Begun: func() { wait = firstRetry },
			Value: func(e app.Event) error {
				if e.Seq != 0 { // then nothing is missed, nor told twice
					q = api.EventsQuery{Follow: true, After: e.Seq}
				}
				if e.Type != app.EventMessage { // that is between the app and itself
					e.Data = nil
					f.publish(e)
				}
				return nil
			},
		})
		if q.After == 0 && (err == nil || errors.Is(err, api.ErrLost)) { // a daemon that does not number them
			f.publish()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

// publish hands events to all tabs; none means that some were lost.
func (f *feed) publish(events ...app.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent = append(f.recent, events...)
	if over := len(f.recent) - recentEvents; over >= recentEvents {
		f.recent = append([]app.Event{}, f.recent[over:]...)
	}
	for t := range f.tabs {
		select {
		case t.events <- events:
			continue
		default:
		}
		select { // the oldest makes room for the news that some are missing
		case <-t.events:
		default:
		}
		t.events <- nil // we alone send
	}
}
