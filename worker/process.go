package worker

import (
	"context"
	"slices"
	"sync"

	"paceline/worker/clone"
)

// process is what is one for the whole program, by the nature of it: the numbers
// of workers, the names of broadcast channels, the environment data of the main
// thread.
var process = registry{environment: &environment{}}

type registry struct {
	environment *environment

	mu       sync.Mutex       // guards what follows
	last     int              // id given out
	waited   map[*Worker]bool // whether WaitAll waits for it
	changed  chan struct{}    // closed when waited changes; nil if nobody waits
	channels map[string][]*BroadcastChannel
}

func (r *registry) add(w *Worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	w.id = r.last
	if r.waited == nil {
		r.waited = make(map[*Worker]bool)
	}
	r.waited[w] = true
}

func (r *registry) remove(w *Worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waited, w)
	r.wake()
}

func (r *registry) setRef(w *Worker, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.waited[w]; there {
		r.waited[w] = on
		r.wake()
	}
}

// wake has WaitAll look again. The caller has the lock.
func (r *registry) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// pending is nil if there is no worker to wait for, else closed when that may
// have changed.
func (r *registry) pending() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, on := range r.waited {
		if on {
			if r.changed == nil {
				r.changed = make(chan struct{})
			}
			return r.changed
		}
	}
	return nil
}

// WaitAll waits until no worker is left that Unref has not set aside: what Node
// does before it exits. It is for the main thread.
//
// Errors: the cause of ctx when that ends.
func WaitAll(ctx context.Context) error {
	for {
		changed := process.pending()
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// environment is the environment data of one thread.
type environment struct {
	mu   sync.Mutex // guards list
	list clone.Map
}

func environmentOf(ctx context.Context) *environment {
	if s := FromContext(ctx); s != nil {
		return s.environment
	}
	return process.environment
}

func (e *environment) copy() (*environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list, err := clone.Of(&e.list)
	if err != nil {
		return nil, err
	}
	return &environment{list: *list}, nil
}

// SetEnvironmentData keeps a clone of value under the key for all workers that
// will be started by the one that ctx belongs to; nil takes it away.
//
// Errors: *clone.Error.
func SetEnvironmentData(ctx context.Context, key, value any) error {
	e := environmentOf(ctx)
	k, err := clone.Clone(key)
	if err != nil {
		return err
	}
	v, err := clone.Clone(value)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if v == nil {
		e.list.Delete(k)
		return nil
	}
	e.list.Set(k, v)
	return nil
}

// EnvironmentData is what SetEnvironmentData kept in this thread, or in the one
// that started it, before it did; nil if nothing. It must not be changed.
func EnvironmentData(ctx context.Context, key any) any {
	e := environmentOf(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	v, _ := e.list.Get(key)
	return v
}

func (r *registry) join(b *BroadcastChannel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.channels == nil {
		r.channels = make(map[string][]*BroadcastChannel)
	}
	r.channels[b.name] = append(slices.Clip(r.channels[b.name]), b)
}

func (r *registry) leave(b *BroadcastChannel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(r.channels[b.name]), func(o *BroadcastChannel) bool { return o == b })
	if r.channels[b.name] = rest; len(rest) == 0 {
		delete(r.channels, b.name)
	}
}

// members are those of a group, in the order they joined. The list is not changed
// in place.
func (r *registry) members(name string) []*BroadcastChannel {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.channels[name]
}
