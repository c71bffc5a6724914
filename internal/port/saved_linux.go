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
//	bound      note: the addresses of Bind
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

// groupNote is what a later daemon must know of a group. Order and Current are of
// shared groups whose sockets are programs' own: see steer.
type groupNote struct {
	Version int       `json:"v"`
	Address Address   `json:"address"`
	Kernel  bool      `json:"kernel,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	File    *identity `json:"file,omitempty"`
	Order   []int     `json:"order,omitempty"`
	Current int       `json:"current,omitempty"`
}

type laneNote struct {
	Slots []int `json:"slots"`

	// Of a lane that is a program's own socket.
	Own   bool   `json:"own,omitempty"`
	Name  int    `json:"name,omitempty"`
	Rank  int    `json:"rank,omitempty"`
	Epoch uint64 `json:"epoch,omitempty"`
}

func (g *Group) note() groupNote {
	return groupNote{
		Version: noteVersion, Address: g.asked, Kernel: g.kernel, Reason: g.reason, File: g.file,
		Order: g.order, Current: g.current,
	}
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
	if err := s.keep(name+groupEntry, g.note(), nil); err != nil || g.dispatch == nil {
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
	if l.own {
		note.Own, note.Name, note.Rank, note.Epoch = true, l.name, l.rank, l.epoch
	}
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
		if rest == boundEntry {
			s.restoreBound(saved.Note)
			continue
		}
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
	g := &Group{
		bears:  s.o.bears,
		number: number, asked: note.Address, kernel: note.Kernel, reason: note.Reason, file: note.File,
		order: note.Order, current: note.Current,
	}
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
	if err := s.restoreOrder(g); err != nil {
		return nil, err
	}
	s.watchGroup(g)
	g.publish()
	s.settle(g)
	return g, nil
}

// restoreOrder takes up the places of a shared group's sockets in the kernel. The
// earlier daemon may have died between two steps of a change: the sockets that
// listen are those that count.
func (s *Set) restoreOrder(g *Group) error {
	if g.dispatch != nil {
		return nil
	}
	if g.lane(g.current) == nil {
		return fmt.Errorf("no socket of lane %d", g.current)
	}
	if g.order == nil {
		return nil
	}
	for _, number := range slices.Clone(g.order) {
		if l := g.lane(number); l == nil || !listening(l.fd) {
			g.forgetPlace(number)
		}
	}
	for _, l := range g.lanes {
		if !slices.Contains(g.order, l.number) && listening(l.fd) {
			g.order = append(g.order, l.number) // it came last
		}
	}
	return g.steer(g.lane(g.current).fd)
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
	l := &lane{number: n, slots: map[int]bool{}, name: note.Name, own: note.Own, rank: n, epoch: note.Epoch}
	if l.fd, err = duplicateOf(saved.File); err != nil {
		return err
	}
	g.insert(l)
	// Of a shared group nobody remembers who was in use; it was the current lane's.
	wanted := g.dispatch == nil && l.own && n == g.current || g.dispatch != nil && g.dispatch.Wanted(n)
	if l.own {
		l.rank = note.Rank
		for _, slot := range note.Slots {
			s.seats[slot] = Seat{Epoch: note.Epoch, Rank: note.Rank}
			if wanted {
				s.using[slot] = true
			}
		}
	}
	for _, slot := range note.Slots {
		l.slots[slot] = wanted
		l.name = slot
	}
	if g.dispatch == nil {
		if err := reopen(l.fd); err != nil && !errors.Is(err, errFiltered) {
			return err
		}
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
		errs = append(errs, s.release(g, l))
	}
	if g.dispatch != nil {
		errs = append(errs, g.dispatch.Close())
	}
	return errors.Join(errs...)
}
