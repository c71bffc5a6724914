package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A look at the process table serves for signals for a while: a burst of them, as
// when everything is stopped, costs a few looks and not one each. What is forked in
// between is found when its parent ends.
const (
	// snapshotAge is how long it serves at least.
	snapshotAge = 10 * time.Millisecond
	// snapshotShare bounds the time spent on looking where the table is long: 1 in
	// so many parts.
	snapshotShare = 10
	// settling is how long a process counts as busy with starting its helpers, so
	// that no look from before will do.
	settling = 100 * time.Millisecond
)

// snapshot is who belonged to which tree when the process table was read.
type snapshot struct {
	at        time.Time
	took      time.Duration
	members   map[*process][]member // the living ones but for the leader
	owners    map[int]owned         // the same by pid
	dead      []int                 // children of ours that wait to be reaped
	undecided bool                  // an orphan is in the middle of exec or exit
}

// serves tells whether a look is recent enough to signal a process's tree by it.
func (s *snapshot) serves(p *process) bool {
	return s != nil && time.Since(s.at) <= max(snapshotAge, snapshotShare*s.took) && s.at.Sub(p.Started) >= settling
}

// owned says to whose tree a process was found to belong.
type owned struct {
	process *process
	start   uint64
}

// member is a process of somebody's tree. The start time tells it from a later
// process with its number.
type member struct {
	pid, group int
	start      uint64
}

// stat is what we want of /proc/PID/stat.
type stat struct {
	parent, group, session int
	start                  uint64
	dead                   bool
	owner                  *process
	resolved               bool
}

// scan reads the process table, adopts orphans that are new, and finds out who
// belongs to whom.
func (c *children) scan() (*snapshot, error) {
	begun := time.Now()
	pids, err := processIDs()
	if err != nil {
		return nil, err
	}
	s := &snapshot{at: begun, members: map[*process][]member{}, owners: map[int]owned{}}
	table := make(map[int]*stat, max(0, len(pids)-len(c.leaders)))
	for _, pid := range pids {
		if c.leaders[pid] != nil || pid == c.self {
			continue
		}
		st, ok := readStat(pid)
		switch {
		case !ok:
		case !st.dead:
			table[pid] = &st
		case st.parent == c.self:
			s.dead = append(s.dead, pid)
		}
	}
	for pid, st := range table {
		if p := c.owner(s, table, pid, 0); p != nil {
			s.members[p] = append(s.members[p], member{pid: pid, group: st.group, start: st.start})
			s.owners[pid] = owned{process: p, start: st.start}
		}
	}
	s.took = time.Since(s.at)
	c.last = s
	return s, nil
}

// owner works out to whose tree a process belongs: that of its session, as long as
// we hold the number; that of its parent; or for an orphan, that which we know from
// earlier, or which its environment names.
func (c *children) owner(s *snapshot, table map[int]*stat, pid, depth int) *process {
	if p := c.leaders[pid]; p != nil {
		return p
	}
	st := table[pid]
	if st == nil {
		return nil
	}
	// The table is not read at one moment: where numbers changed hands meanwhile,
	// there might be a circle.
	const maxDepth = 1000
	if st.resolved || depth > maxDepth {
		return st.owner
	}
	st.resolved = true
	switch {
	case c.leaders[st.session] != nil:
		st.owner = c.leaders[st.session]
	case c.leaders[st.group] != nil:
		st.owner = c.leaders[st.group]
	case st.parent == c.self:
		st.owner = c.ownerOfOrphan(s, pid, st)
		return st.owner
	default:
		// A parent that is younger than its child has only got the number.
		if parent := table[st.parent]; parent == nil || parent.start <= st.start {
			st.owner = c.owner(s, table, st.parent, depth+1)
		}
	}
	if st.parent == c.self {
		c.orphans[pid] = st.owner
	}
	return st.owner
}

func (c *children) ownerOfOrphan(s *snapshot, pid int, st *stat) *process {
	p, known := c.orphans[pid]
	if known {
		return p
	}
	if c.last != nil {
		if before := c.last.owners[pid]; before.start == st.start { // it had its parent then
			p = before.process
		}
	}
	if p == nil {
		var decided bool
		if p, decided = c.byMarker(pid); !decided {
			s.undecided = true
			return nil
		}
	}
	c.orphans[pid] = p
	return p
}

// byMarker looks into the environment of an orphan. Nothing is decided while it has
// none because it is in the middle of exec or exit.
func (c *children) byMarker(pid int) (p *process, decided bool) {
	environ, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil { // another user's, or gone
		return nil, true
	}
	if len(environ) == 0 { // truly empty, if it still is where there is a command line
		if command, err := os.ReadFile(procPath(pid, "cmdline")); err != nil || len(command) == 0 {
			return nil, err != nil
		}
		// It may have got both since the first look, at the end of its exec.
		if environ, err = os.ReadFile(procPath(pid, "environ")); err != nil {
			return nil, true
		}
	}
	for len(environ) > 0 {
		var variable []byte
		variable, environ, _ = bytes.Cut(environ, []byte{0})
		if key, ok := bytes.CutPrefix(variable, []byte(c.marker)); ok {
			return c.byKey[string(key)], true
		}
	}
	return nil, true
}

// signal sends sig to a process or its tree. Errors: ErrGone, an errno.
func (c *children) signal(key string, sig syscall.Signal, scope Scope) error {
	p := c.byKey[key]
	switch {
	case p == nil || p.Gone || scope == Leader && p.Exit != nil:
		return ErrGone
	case scope == Tree:
		return c.signalTree(p, sig)
	}
	p.killed = p.killed || sig == unix.SIGKILL
	return kill(p.PID, sig)
}

// signalTree reaches the process group at once and the others one by one.
func (c *children) signalTree(p *process, sig syscall.Signal) error {
	if sig == unix.SIGKILL {
		p.killed, p.doomed = true, true
	}
	var scanErr error
	if !c.last.serves(p) {
		_, scanErr = c.scan() // before the first dies and its children lose their parent
	}
	err := kill(-p.PID, sig) // not reaped: the number is the group's
	c.signalMembers(p, sig)
	return errors.Join(err, scanErr)
}

// signalMembers signals those of the tree that are not in the leader's group,
// except those that have ended since they were seen.
func (c *children) signalMembers(p *process, sig syscall.Signal) {
	if c.last == nil {
		return
	}
	for _, m := range c.last.members[p] {
		if m.group != p.PID {
			m.signal(sig)
		}
	}
}

// signal makes sure of the process through a pidfd: what that refers to cannot
// change once its start time has been found to be the same.
func (m member) signal(sig syscall.Signal) {
	fd, err := unix.PidfdOpen(m.pid, 0)
	if err != nil { // has ended
		return
	}
	defer closeFD(fd)
	if st, ok := readStat(m.pid); ok && st.start == m.start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0) // ended now, or another user's
	}
}

// kill signals a child of ours that is not reaped, or its group.
func kill(pid int, sig syscall.Signal) error {
	if err := unix.Kill(pid, sig); err != nil {
		return fmt.Errorf("send %v to %d: %w", sig, pid, err)
	}
	return nil
}

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// processIDs lists the process table.
func processIDs() (pids []int, err error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// readStat reads /proc/PID/stat; false if there is no such process.
func readStat(pid int) (stat, bool) {
	fd, err := unix.Open(procPath(pid, "stat"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, false
	}
	defer closeFD(fd)
	var buf [1024]byte // 52 numbers and a name of at most 64 bytes
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return stat{}, false
	}
	return parseStat(buf[:n])
}

// parseStat reads the line of /proc/PID/stat. The name is in parentheses and may
// hold any byte but zero, also parentheses and blanks.
func parseStat(line []byte) (s stat, ok bool) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, false
	}
	var numbers [20]uint64 // fields 3 (the state) to 22
	rest := bytes.TrimLeft(line[i+1:], " ")
	var state byte
	for f := range numbers {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte{' '})
		if len(word) == 0 {
			return stat{}, false
		}
		if f == 0 {
			state = word[0]
			continue
		}
		for _, digit := range bytes.TrimPrefix(word, []byte{'-'}) {
			numbers[f] = numbers[f]*10 + uint64(digit-'0')
		}
	}
	const threads, start = 17, 19
	return stat{
		parent: int(numbers[1]), group: int(numbers[2]), session: int(numbers[3]), start: numbers[start],
		// Where only the first thread has ended, the process lives.
		dead: state == 'X' || state == 'Z' && numbers[threads] <= 1,
	}, true
}
