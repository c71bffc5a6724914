package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"paceline/internal/app"
)

// Restore takes up what an earlier daemon left: saved is the state file's,
// records and specs are what the Host was given to keep, which is fresher, and
// running are the processes there are, those included that have ended since.
// Each process that is still an instance's goes on; what an unfinished reload or
// delete left is ended; what should run and has no process is started. It must
// come before any other method that changes something. The error tells what
// could not be understood; everything else has been restored.
func (s *Supervisor) Restore(saved Saved, records map[int][]byte, specs map[string][]byte, running []Ref) error {
	var trouble error
	var revived *batch
	err := s.do(context.Background(), func() error {
		r := restoration{reg: s.reg, records: records, specs: specs, gens: map[int][]uint64{}}
		for _, ref := range running {
			r.gens[ref.ID] = append(r.gens[ref.ID], ref.Gen)
		}
		r.collect(saved)
		r.revived = s.newBatch(len(r.found))
		revived = r.revived
		for _, id := range slices.Sorted(maps.Keys(r.found)) {
			r.revive(r.found[id])
		}
		r.endStrays()
		s.reg.nextID = max(s.reg.nextID, saved.NextID)
		if len(s.reg.apps) == 0 && s.reg.strays == 0 {
			s.reg.nextID = 0
		}
		s.reg.relist()
		s.touch()
		trouble = errors.Join(r.trouble...)
		return nil
	})
	if err == nil {
		_, err = revived.collect(context.Background())
	}
	return errors.Join(err, trouble)
}

// restoration is one call of Restore, in the owner's goroutine.
type restoration struct {
	reg     *registry
	records map[int][]byte
	specs   map[string][]byte
	gens    map[int][]uint64 // the processes there are
	found   map[int]remnant
	revived *batch // reports when what is known of the instances has been taken in
	trouble []error
}

// remnant is an instance as it was left.
type remnant struct {
	slot *slot
	record
}

// collect makes a slot for each instance of which anything is known.
func (r *restoration) collect(saved Saved) {
	r.found = map[int]remnant{}
	for _, a := range saved.Apps {
		if r.reg.apps[a.Spec.Name] != nil || a.Spec.Name == "" {
			r.fail("app %q: named twice or not at all", a.Spec.Name)
			continue
		}
		g := r.reg.newGroup(&a.Spec)
		for _, i := range a.Instances {
			record, kept := r.records[i.ID]
			if !kept {
				record = i.Record
			}
			rec, err := decodeRecord(record)
			if err != nil {
				r.fail("instance %d of %s: %w", i.ID, a.Spec.Name, err)
				rec = record0
			}
			rec.Name, rec.Index = a.Spec.Name, i.Index
			r.add(g, i.ID, rec)
		}
	}
	// The state file may be lost, or older than a start or a scale: the host knows.
	for _, id := range slices.Sorted(maps.Keys(r.records)) {
		if _, known := r.found[id]; known {
			continue
		}
		rec, err := decodeRecord(r.records[id])
		if err != nil || rec.Name == "" {
			r.fail("instance %d: %w", id, cmp.Or(err, errors.New("its record names no app")))
			continue
		}
		g := r.reg.apps[rec.Name]
		if g == nil {
			var spec app.Spec
			if err := json.Unmarshal(r.specs[rec.Name], &spec); err != nil || spec.Name != rec.Name {
				r.fail("instance %d: its app %q is not known", id, rec.Name)
				continue
			}
			g = r.reg.newGroup(&spec)
		}
		r.add(g, id, rec)
	}
	for _, g := range r.reg.apps {
		spec := *g.spec.Load()
		spec.Instances = max(1, len(g.staying()))
		g.spec.Store(&spec)
		r.reg.keepSpec(&spec)
	}
}

// record0 is the record of an instance of which nothing is known.
var record0 = record{Wanted: wantRunning}

// add gives an instance its slot back.
func (r *restoration) add(g *group, id int, rec record) {
	if _, twice := r.found[id]; twice {
		r.fail("instance %d of %s: the id is taken", id, rec.Name)
		return
	}
	r.reg.apps[rec.Name] = g
	sl := &slot{id: id, index: rec.Index, group: g, leaving: rec.Wanted == wantGone}
	sl.gens.Store(max(rec.Gen, slices.Max(append(r.gens[id], 0))))
	g.slots = append(g.slots, sl)
	g.sort()
	r.reg.nextID = max(r.reg.nextID, id+1)
	r.found[id] = remnant{sl, rec}
}

// revive makes an instance of what was left of it, and lets it go on.
func (r *restoration) revive(old remnant) {
	sl := old.slot
	in := r.reg.newInstance(sl, sl.group.spec.Load())
	sl.current.Store(in)
	in.created = cmp.Or(old.CreatedAt, in.created)
	in.m = machine{
		restarts: old.Restarts, unstable: old.Unstable, delay: time.Duration(old.Delay), exit: old.Exit,
	}
	in.life.gen = old.Gen
	has := slices.Contains(r.gens[sl.id], old.Gen)
	switch {
	case has:
		// A command that was being carried out comes before what is told of the
		// process: whatever that is, it is what the command has caused.
		switch {
		case old.Wanted == wantGone:
			in.box.put(remove{})
		case old.Wanted != wantRunning:
			in.box.put(stop{})
		case old.Restarting:
			in.box.put(restart{})
		}
		r.adopt(in, old.record)
	case old.Wanted == wantGone:
		in.box.put(remove{})
	case old.Wanted == wantErrored:
		in.m.phase, in.m.reason, in.m.given = errored, old.Failed, true
		if !old.Next.IsZero() {
			in.m.retry = true
			in.arm(max(0, time.Until(old.Next)))
		}
	case old.Wanted == wantStopped:
	case time.Until(old.Next) > 0 && old.Exit != nil:
		in.m.phase = waiting
		in.arm(time.Until(old.Next))
	default:
		in.box.put(resume{})
	}
	in.publish()
	in.record.Store(&old.record)
	in.saved = old.encode()
	if kept := r.records[sl.id]; !bytes.Equal(kept, in.saved) {
		r.reg.host.Save(sl.id, in.saved)
	}
	r.reg.bring(in)
	r.revived.send(context.Background(), []*instance{in}, nil, always)
	for _, gen := range r.gens[sl.id] {
		switch {
		case gen < old.Gen: // a reload had replaced it
			r.finish(sl, gen, retire{})
		case gen > old.Gen: // it was to become the successor, but has not proved itself
			r.finish(sl, gen, remove{})
		}
	}
}

// adopt gives an instance the process that it had.
func (r *restoration) adopt(in *instance, old record) {
	gen := in.life.gen
	in.m.phase = spawning
	pid, at, err := r.reg.host.Adopt(Launch{
		Ref: in.ref(), Spec: in.spec, Index: in.slot.index, Restarts: in.m.restarts,
		Unstable: in.m.unstable, Created: in.created,
	}, in.sink(gen))
	if err != nil {
		in.box.put(about{gen, startFailed{exit: &app.Exit{Code: -1, Error: "ended unseen", At: time.Now()}}})
		return
	}
	in.life.pid, in.life.started, in.life.ports, in.life.shared = pid, at, old.Ports, old.Shared
	in.box.put(about{gen, started{
		pid: pid, at: at, adopted: true, online: old.Up, ready: old.Ready, ports: old.Ports,
		shared: old.Shared,
	}})
}

// finish ends a process that is not its instance's present one.
func (r *restoration) finish(sl *slot, gen uint64, how message) {
	in := r.reg.newInstance(sl, sl.group.spec.Load())
	in.life.gen, in.m.trial = gen, true
	if _, retires := how.(retire); retires {
		in.retired = true
		sl.retiring.Add(1)
	}
	r.adopt(in, record{Up: true, Ready: true})
	in.box.put(how)
	r.reg.addBeside(in)
}

// endStrays ends the processes of which nothing but their number is known.
func (r *restoration) endStrays() {
	for id, gens := range r.gens {
		if _, known := r.found[id]; known {
			continue
		}
		r.fail("instance %d: nothing is known of its process, which is ended", id)
		spec := app.Defaults()
		spec.Name = fmt.Sprintf("unknown-%d", id)
		sl := &slot{id: id, group: r.reg.newGroup(&spec), empty: true}
		sl.current.Store(r.reg.newInstance(sl, &spec))
		r.reg.nextID = max(r.reg.nextID, id+1)
		r.reg.strays++
		for _, gen := range gens {
			r.finish(sl, gen, remove{})
		}
	}
}

func (r *restoration) fail(format string, a ...any) {
	r.trouble = append(r.trouble, fmt.Errorf(format, a...))
}
