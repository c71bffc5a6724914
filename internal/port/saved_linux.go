package port

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/port/dispatch"

	"golang.org/x/sys/unix"
)

// What the Store holds of a group, under Options.Name:
//
//	3/group    note: groupNote
//	3/sockets  kernel groups: the map of sockets
//	3/control  kernel groups: the page with the rotation, see dispatch
//	3/lane/7   note: laneNote; file: the socket
//
// The group comes first and goes last, so that lanes without one never exist.
const (
	groupEntry   = "group"
	socketsEntry = "sockets"
	controlEntry = "control"
	laneEntry    = "lane/"
)

// noteVersion counts changes of the notes that an older daemon could not read.
const noteVersion = 1

type groupNote struct {
	Version int       `json:"v"`
	Address Address   `json:"address"`
	Kernel  bool      `json:"kernel,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	File    *identity `json:"file,omitempty"`
}

type laneNote struct {
	Slots []int `json:"slots"`
}

func (s *Set) groupName(g *Group) string { return s.o.Name + strconv.Itoa(g.number) + "/" }

func (s *Set) laneName(g *Group, l *lane) string {
	return s.groupName(g) + laneEntry + strconv.Itoa(l.number)
}

func (s *Set) keep(name string, note any, f *os.File) error {
	var encoded []byte
	if note != nil {
		var err error
		if encoded, err = json.Marshal(note); err != nil {
			panic("port: a note cannot be encoded: " + err.Error())
		}
	}
	if err := s.o.Store.Keep(name, encoded, f); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func (s *Set) drop(name string) error {
	if s.o.Store == nil {
		return nil
	}
	if err := s.o.Store.Drop(name); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

func (s *Set) keepGroup(g *Group) error {
	if s.o.Store == nil {
		return nil
	}
	name := s.groupName(g)
	note := groupNote{Version: noteVersion, Address: g.asked, Kernel: g.kernel, Reason: g.reason, File: g.file}
	if err := s.keep(name+groupEntry, note, nil); err != nil || g.dispatch == nil {
		return err
	}
	sockets, control, err := g.dispatch.Files()
	if err != nil {
		return err
	}
	return errors.Join(
		s.keep(name+socketsEntry, nil, sockets), s.keep(name+controlEntry, nil, control),
		sockets.Close(), control.Close(),
	)
}

// keepLane keeps who uses a lane and, with withSocket, its socket.
func (s *Set) keepLane(g *Group, l *lane, withSocket bool) error {
	if s.o.Store == nil {
		return nil
	}
	note := laneNote{Slots: slices.Sorted(maps.Keys(l.slots))}
	if !withSocket {
		return s.keep(s.laneName(g, l), note, nil)
	}
	f, err := fileOf(l.fd, s.laneName(g, l))
	if err != nil {
		return err
	}
	return errors.Join(s.keep(s.laneName(g, l), note, f), f.Close())
}

// restore rebuilds the groups from what an earlier daemon left. A group that
// cannot be rebuilt is dropped: its processes go on with the sockets they have.
func (s *Set) restore() {
	groups := map[int]map[string]Saved{}
	for name, saved := range s.o.Saved {
		rest, _ := strings.CutPrefix(name, s.o.Name)
		number, entry, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		if err != nil || entry == "" {
			s.o.Log("unknown entry %s of an earlier daemon", name)
			s.report(s.drop(name))
			continue
		}
		if groups[n] == nil {
			groups[n] = map[string]Saved{}
		}
		groups[n][entry] = saved
	}
	for n, entries := range groups {
		g, err := s.restoreGroup(n, entries)
		if err != nil {
			s.o.Log("take over port group %d: %v", n, err)
			s.report(s.drop(s.groupName(&Group{number: n})))
			continue
		}
		s.groups[g.asked.key()] = g
		s.next = max(s.next, n+1)
	}
	for _, saved := range s.o.Saved {
		if saved.File != nil {
			s.report(saved.File.Close())
		}
	}
	s.o.Saved = nil
}

func (s *Set) restoreGroup(number int, entries map[string]Saved) (_ *Group, err error) {
	var note groupNote
	if err := json.Unmarshal(entries[groupEntry].Note, &note); err != nil {
		return nil, fmt.Errorf("read its note: %w", err)
	}
	if note.Version != noteVersion {
		return nil, fmt.Errorf("its note is of version %d, not %d", note.Version, noteVersion)
	}
	g := &Group{number: number, asked: note.Address, kernel: note.Kernel, reason: note.Reason, file: note.File}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.letGo(g))
		}
	}()
	if g.kernel {
		if g.dispatch, err = dispatch.Restore(entries[socketsEntry].File, entries[controlEntry].File); err != nil {
			return nil, err
		}
		g.dispatch.Cancel() // of a trial that the earlier daemon began
	}
	for name, saved := range entries {
		if n, ok := strings.CutPrefix(name, laneEntry); ok {
			if err := s.restoreLane(g, n, saved); err != nil {
				return nil, fmt.Errorf("lane %s: %w", n, err)
			}
		}
	}
	if len(g.lanes) == 0 {
		return nil, errors.New("it has no socket")
	}
	if g.bound, g.addr, err = boundTo(g.lanes[0].fd, g.asked.Network); err != nil {
		return nil, err
	}
	if g.asked.Network == "unix" {
		g.addr = unixAddr(g.asked)
	}
	s.watchGroup(g)
	g.publish()
	return g, nil
}

func (s *Set) restoreLane(g *Group, number string, saved Saved) error {
	var note laneNote
	if err := json.Unmarshal(saved.Note, &note); err != nil {
		return err
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || g.dispatch != nil && n >= dispatch.MaxSlots {
		return fmt.Errorf("bad number: %w", unix.EINVAL)
	}
	if saved.File == nil {
		return errors.New("no socket")
	}
	l := &lane{number: n, slots: map[int]bool{}}
	if l.fd, err = duplicateOf(saved.File); err != nil {
		return err
	}
	g.insert(l)
	wanted := g.dispatch != nil && g.dispatch.Wanted(n)
	for _, slot := range note.Slots {
		l.slots[slot] = wanted
	}
	if g.dispatch == nil {
		return nil
	}
	l.gauge.enter(wanted)
	if !listening(l.fd) { // the earlier daemon died while it moved the queue
		if err := listen(l.fd, g.asked.backlog()); err != nil {
			return err
		}
	}
	return g.dispatch.Set(n, l.fd)
}

// letGo closes what we hold of a group and leaves the rest as it is.
func (s *Set) letGo(g *Group) error {
	var errs []error
	for _, l := range g.lanes {
		errs = append(errs, s.release(l))
	}
	if g.dispatch != nil {
		errs = append(errs, g.dispatch.Close())
	}
	return errors.Join(errs...)
}
