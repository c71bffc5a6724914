package daemon

import (
	"errors"
	"strings"
	"sync"

	"paceline/internal/keeper"
	"paceline/internal/port"
	"paceline/internal/supervisor"
)

// inheritance is what an earlier daemon left with the keeper. Whoever takes a
// part of it owns that part; what nobody has taken in the end is dropped.
type inheritance struct {
	mu        sync.Mutex // guards the maps
	processes map[string]keeper.Process
	entries   map[string]keeper.Entry
}

func inherit(inv *keeper.Inventory) *inheritance {
	in := &inheritance{processes: map[string]keeper.Process{}, entries: inv.Entries}
	for _, p := range inv.Processes {
		in.processes[p.Key] = p
	}
	if in.entries == nil {
		in.entries = map[string]keeper.Entry{}
	}
	return in
}

// process takes a process.
func (in *inheritance) process(key string) (keeper.Process, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p, ok := in.processes[key]
	delete(in.processes, key)
	return p, ok
}

// entry takes a note and its descriptor.
func (in *inheritance) entry(name string) (keeper.Entry, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	e, ok := in.entries[name]
	delete(in.entries, name)
	return e, ok
}

// has reports whether there is an entry that nobody has taken.
func (in *inheritance) has(name string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, ok := in.entries[name]
	return ok
}

// ports takes the listening sockets under a prefix.
func (in *inheritance) ports(prefix string) map[string]port.Saved {
	in.mu.Lock()
	defer in.mu.Unlock()
	saved := map[string]port.Saved{}
	for name, e := range in.entries {
		if strings.HasPrefix(name, prefix) {
			saved[name] = port.Saved{Note: e.Note, File: e.File}
			delete(in.entries, name)
		}
	}
	return saved
}

// notes returns the notes under a prefix, by the rest of their names, and
// leaves them: they stay with the keeper.
func (in *inheritance) notes(prefix string) map[string][]byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	notes := map[string][]byte{}
	for name, e := range in.entries {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			notes[rest] = e.Note
			delete(in.entries, name)
		}
	}
	return notes
}

// running lists the processes nobody has taken yet.
func (in *inheritance) running() (refs []supervisor.Ref, unknown []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for key := range in.processes {
		if r, err := refOf(key); err == nil {
			refs = append(refs, r)
		} else {
			unknown = append(unknown, key)
		}
	}
	return refs, unknown
}

// pipes takes the log pipes.
func (in *inheritance) pipes() map[string]keeper.Entry {
	in.mu.Lock()
	defer in.mu.Unlock()
	pipes := map[string]keeper.Entry{}
	for name, e := range in.entries {
		if strings.HasPrefix(name, processPrefix) && !strings.HasSuffix(name, channelSuffix) && !strings.HasSuffix(name, inputSuffix) && e.File != nil {
			pipes[name] = e
			delete(in.entries, name)
		}
	}
	return pipes
}

// rest empties the inheritance: it returns the names of what nobody took and
// closes the descriptors.
func (in *inheritance) rest() (names []string, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for name, e := range in.entries {
		names = append(names, name)
		if e.File != nil {
			err = errors.Join(err, e.File.Close())
		}
		delete(in.entries, name)
	}
	return names, err
}
