package keeper

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// markerName is the environment variable by which orphans are recognised.
const markerName = "PACELINE_KEY="

// children are the processes whose parent we are: the leaders that we started, and
// the orphans that the kernel handed to us when their parent ended.
type children struct {
	self    int
	marker  string // what the environment of this keeper's processes holds, up to the key
	byKey   map[string]*process
	leaders map[int]*process // by pid, until reaped
	held    map[*process]struct{}
	orphans map[int]*process // by pid, until reaped; nil if of no process that we know
	last    *snapshot        // of the process table, nil if there was none yet

	recount   bool // what is left of the held processes has to be counted again
	undecided int  // how often that has failed for an orphan that could not be told

	orphanage *orphanage // nil if the main thread could not be had
	oom       oomWatch
}

// maxUndecided is how often to count again for the sake of an orphan of which nothing
// can be told yet. The time between is recountDelay.
const maxUndecided = 50

// process is one that we started.
type process struct {
	Process
	left   int  // processes of its tree that are alive, once it has ended
	killed bool // it was sent SIGKILL by us
	doomed bool // and so is what else there is or appears of its tree
	cgroup int  // the cgroup that it was started in, or none
	ooms   uint64
}

// launch is what it takes to start a process. Descriptors are real ones, or none.
type launch struct {
	key, path, dir string // key is "" for the daemon, which gets no marker
	argv, env      []string
	files          []int
	credential     *Credential
	cgroup         int
	trap           *trap // whose thread forks; nil for any
}

func newChildren(home string, o *orphanage) *children {
	return &children{
		self:   os.Getpid(),
		marker: marker(home),
		byKey:  map[string]*process{}, leaders: map[int]*process{},
		held: map[*process]struct{}{}, orphans: map[int]*process{},
		orphanage: o,
		oom:       newOOMWatch(),
	}
}

// start makes a process. Errors: ErrExists, *SpawnError.
func (c *children) start(l launch) (*process, error) {
	if l.key != "" && c.byKey[l.key] != nil {
		return nil, ErrExists
	}
	env := slices.DeleteFunc(l.env, func(s string) bool { return strings.HasPrefix(s, markerName) })
	if l.key != "" {
		env = slices.Insert(env, 0, c.marker+l.key)
	}
	if len(l.argv) == 0 {
		l.argv = []string{l.path}
	}
	attr := &syscall.ProcAttr{Dir: l.dir, Env: env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, fd := range l.files {
		attr.Files = append(attr.Files, uintptr(fd)) // none becomes "closed"
	}
	if u := l.credential; u != nil {
		attr.Sys.Credential = &syscall.Credential{
			Uid: u.UID, Gid: u.GID, Groups: u.Groups,
			// Only root may set groups; another user cannot have gained any.
			NoSetGroups: len(u.Groups) == 0 && os.Geteuid() != 0,
		}
	}
	p := &process{Process: Process{Key: l.key}, cgroup: none}
	if l.cgroup != none {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, l.cgroup
		if fd, err := unix.FcntlInt(uintptr(l.cgroup), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			p.cgroup = fd // only to tell the cause of its death
		}
	}
	p.ooms = c.oom.before(p.cgroup)

	pid, err := l.fork(attr)
	if err != nil {
		p.closeCgroup()
		return nil, diagnose(err, l)
	}
	p.PID, p.Started = pid, time.Now()
	if st, ok := readStat(pid); ok { // it is ours and unreaped: the pid is its own
		p.StartTicks = st.start
	}
	c.leaders[pid] = p
	if p.Key != "" {
		c.byKey[p.Key] = p
	}
	return p, nil
}

func (l *launch) fork(attr *syscall.ProcAttr) (pid int, err error) {
	if l.trap == nil {
		return syscall.ForkExec(l.path, l.argv, attr)
	}
	l.trap.do(func() { pid, err = syscall.ForkExec(l.path, l.argv, attr) })
	return pid, err
}

// forget drops a process that is gone. Errors: ErrAlive.
func (c *children) forget(key string) error {
	p := c.byKey[key]
	if p != nil && !p.Gone {
		return ErrAlive
	}
	delete(c.byKey, key)
	return nil
}

// list returns the processes in the order of their start.
func (c *children) list() []Process {
	list := make([]Process, 0, len(c.byKey))
	for _, p := range c.byKey {
		list = append(list, p.told())
	}
	slices.SortFunc(list, func(a, b Process) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.PID, b.PID))
	})
	return list
}

// reap finds out which processes have ended, and of which nothing is left any
// more. A process is in gone at the earliest when it is or has been in exited.
//
// A leader that leaves living processes behind is held: its zombie stays, so that
// its number, which is theirs as session and group, stays ours.
func (c *children) reap() (exited, gone []*process) {
	for {
		info, ok := peek(unix.P_ALL, 0)
		if !ok {
			break
		}
		p := c.leaders[int(info.pid)]
		if p == nil {
			c.buried(reapPID(int(info.pid)))
			continue
		}
		if p.Exit == nil {
			exited = append(exited, c.end(p, info))
			if !c.bury() { // The common case: no orphan lives, so no tree does.
				gone = append(gone, c.release(c.count(false))...)
				continue
			}
			c.recount = true
		}
		// A zombie that stays stands before the others: ask for each of them.
		exited = append(exited, c.endedOthers()...)
		break
	}
	if len(c.held) == 0 {
		return exited, gone
	}
	if living := c.bury(); c.recount {
		gone = append(gone, c.release(c.count(living))...)
	}
	return exited, gone
}

// endedOthers returns the leaders that have ended, asking for each.
func (c *children) endedOthers() (list []*process) {
	for pid, p := range c.leaders {
		if p.Exit != nil {
			continue
		}
		if info, ok := peek(unix.P_PID, pid); ok {
			list = append(list, c.end(p, info))
			c.recount = true
		}
	}
	return list
}

// end notes how a leader ended, and holds it.
func (c *children) end(p *process, info siginfo) *process {
	p.Exit = &Exit{Key: p.Key, Status: info.waitStatus(), At: time.Now()}
	if p.Exit.Status.Signaled() && p.Exit.Status.Signal() == unix.SIGKILL && !p.killed {
		p.Exit.OOM = c.oom.killed(p.cgroup, p.ooms)
	}
	p.closeCgroup()
	c.held[p] = struct{}{}
	return p
}

// bury reaps the orphans that have died and reports whether there may be living
// ones.
func (c *children) bury() (living bool) {
	if c.orphanage == nil { // Those not known yet are found by count.
		for pid := range c.orphans {
			if _, ok := peek(unix.P_PID, pid); ok {
				c.buried(reapPID(pid))
			}
		}
		return true
	}
	dead, living := c.orphanage.sweep()
	for _, pid := range dead {
		c.buried(pid)
	}
	return living
}

func (c *children) buried(pid int) {
	if p := c.orphans[pid]; p != nil && p.Exit != nil {
		c.recount = true
	}
	delete(c.orphans, pid)
}

// count counts what is left of each held process. It reports false if the process
// table could not be read or would not stand still, and leaves recount set.
func (c *children) count(living bool) (settled bool) {
	c.recount = false
	if !living {
		for p := range c.held {
			p.left = 0
		}
		return true
	}
	const rounds = 4
	for range rounds {
		s, err := c.scan()
		if err != nil {
			break
		}
		for p := range c.held {
			p.left = len(s.members[p])
		}
		for _, pid := range s.dead {
			c.buried(reapPID(pid))
		}
		c.recount = false
		switch {
		case len(s.dead) > 0: // what they leave may have come to us after we looked there
			continue
		case s.undecided && c.undecided < maxUndecided:
			c.undecided++
		default:
			c.undecided = 0
			return true
		}
		break
	}
	for p := range c.held {
		p.left = max(p.left, 1)
	}
	c.recount = true
	return false
}

// release lets go of the held processes of which nothing is left, if the count is
// settled, and kills the rest of those that are doomed.
func (c *children) release(settled bool) (gone []*process) {
	for p := range c.held {
		if settled && p.left == 0 {
			reapPID(p.PID)
			p.Gone = true
			delete(c.leaders, p.PID)
			delete(c.held, p)
			gone = append(gone, p)
		} else if p.doomed {
			_ = kill(-p.PID, unix.SIGKILL) // held, so the group is there
			c.signalMembers(p, unix.SIGKILL)
		}
	}
	return gone
}

// told is the process as it is told to the daemon.
func (p *process) told() Process {
	s := p.Process
	if s.Exit != nil {
		e := *s.Exit
		e.Left = p.left
		s.Exit = &e
	}
	return s
}

func (p *process) closeCgroup() {
	if p.cgroup != none {
		closeFD(p.cgroup)
		p.cgroup = none
	}
}

// siginfo is the kernel's siginfo_t as waitid(2) fills it in.
type siginfo struct {
	signo, errno, code int32
	child              // aligned as a pointer is
}

type child struct {
	_      [0]uintptr
	pid    int32
	uid    uint32
	status int32
	_      [104]byte
}

// The values of siginfo.code for SIGCHLD.
const (
	cldExited = 1
	cldDumped = 3
)

// waitStatus is the same as wait4(2) would give.
func (i siginfo) waitStatus() syscall.WaitStatus {
	switch i.code {
	case cldExited:
		return syscall.WaitStatus(i.status&0xff) << 8
	case cldDumped:
		return syscall.WaitStatus(i.status) | 0x80
	default:
		return syscall.WaitStatus(i.status)
	}
}

// peek looks for a dead child and leaves it as it is.
func peek(idType, id int) (siginfo, bool) {
	info, err := waitid(idType, id, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
	return info, err == nil && info.pid != 0
}

// waitid asks without waiting: pid 0 means that no child is dead, ECHILD that there
// is none to ask for.
func waitid(idType, id, options int) (siginfo, error) {
	for {
		var info siginfo
		err := unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&info)), options, nil)
		if !errors.Is(err, unix.EINTR) {
			return info, err
		}
	}
}

// reapPID reaps a child that is known to be dead.
func reapPID(pid int) int {
	_, _ = waitid(unix.P_PID, pid, unix.WEXITED|unix.WNOHANG) // it is our child and dead
	return pid
}
