package keeper

import (
	"os"
	"syscall"
)

// none stands for "no descriptor" where an index into a frame's descriptors is
// expected.
const none = -1

// spawnRequest is a Spawn as the keeper sees it: descriptors are indices into those
// of its frame, or none.
type spawnRequest struct {
	key, path, dir string
	argv, env      []string
	files          []int
	keep           []keepItem
	credential     *Credential
	cgroup         int
	trap           string
}

// keepItem is a Named as the keeper sees it.
type keepItem struct {
	name string
	note []byte
	file int
}

// putFile notes whether there is a descriptor and adds it to those of the frame.
func putFile(b []byte, files []*os.File, f *os.File) ([]byte, []*os.File) {
	if f == nil {
		return putBool(b, false), files
	}
	return putBool(b, true), append(files, f)
}

// fileIndex hands out the frame's descriptors in their order.
type fileIndex struct{ next, count int }

func (x *fileIndex) file(p *payload) int {
	if !p.bool() {
		return none
	}
	if x.next == x.count {
		p.fail()
		return none
	}
	x.next++
	return x.next - 1
}

func putSpawn(b []byte, s Spawn) (_ []byte, files []*os.File) {
	b = putString(putString(putString(b, s.Key), s.Path), s.Dir)
	b = putStrings(putStrings(b, s.Argv), s.Env)
	b = putCount(b, len(s.Files))
	for _, f := range s.Files {
		b, files = putFile(b, files, f)
	}
	b, files = putNamed(b, files, s.Keep)
	b = putBool(b, s.Credential != nil)
	if c := s.Credential; c != nil {
		b = putInt(putInt(b, int64(c.UID)), int64(c.GID))
		b = putCount(b, len(c.Groups))
		for _, g := range c.Groups {
			b = putInt(b, int64(g))
		}
	}
	b, files = putFile(b, files, s.CgroupFD)
	if s.Trap != "" { // A keeper that knows no traps reads all other requests.
		b = putString(b, s.Trap)
	}
	return b, files
}

func (p *payload) spawn(fds int) (spawnRequest, error) {
	x := fileIndex{count: fds}
	s := spawnRequest{key: p.string(), path: p.string(), dir: p.string(), argv: p.strings(), env: p.strings()}
	s.files = make([]int, p.count())
	for i := range s.files {
		s.files[i] = x.file(p)
	}
	s.keep = p.named(&x)
	if p.bool() {
		s.credential = &Credential{UID: uint32(p.int()), GID: uint32(p.int())}
		s.credential.Groups = make([]uint32, p.count())
		for i := range s.credential.Groups {
			s.credential.Groups[i] = uint32(p.int())
		}
	}
	s.cgroup = x.file(p)
	if len(p.b) > 0 {
		if s.trap = p.string(); s.trap == "" {
			p.fail()
		}
	}
	if x.next != fds {
		p.fail()
	}
	return s, p.done()
}

func putNamed(b []byte, files []*os.File, list []Named) ([]byte, []*os.File) {
	b = putCount(b, len(list))
	for _, n := range list {
		b = putOptional(putString(b, n.Name), n.Note)
		b, files = putFile(b, files, n.File)
	}
	return b, files
}

func (p *payload) named(x *fileIndex) []keepItem {
	list := make([]keepItem, p.count())
	for i := range list {
		list[i] = keepItem{name: p.string(), note: p.optional(), file: x.file(p)}
	}
	return list
}

func (p *payload) keep(fds int) ([]keepItem, error) {
	x := fileIndex{count: fds}
	list := p.named(&x)
	if x.next != fds {
		p.fail()
	}
	return list, p.done()
}

func putTrap(b []byte, t trapReply) []byte { return putBool(putBool(b, t.noNewPrivs), t.waitKillable) }

// trapReply comes with one descriptor.
type trapReply struct{ noNewPrivs, waitKillable bool }

// trap does not ask for the payload's end: a newer keeper may say more.
func (p *payload) trap() trapReply { return trapReply{noNewPrivs: p.bool(), waitKillable: p.bool()} }

func putSignal(b []byte, key string, sig syscall.Signal, scope Scope) []byte {
	return append(putInt(putString(b, key), int64(sig)), byte(scope))
}

func (p *payload) signal() (key string, sig syscall.Signal, scope Scope, err error) {
	key, sig, scope = p.string(), syscall.Signal(p.int()), Scope(p.byte())
	return key, sig, scope, p.done()
}

func putExit(b []byte, e *Exit) []byte {
	b = putInt(putString(b, e.Key), int64(e.Status))
	return putBool(putInt(putTime(b, e.At), int64(e.Left)), e.OOM)
}

func (p *payload) exit() *Exit {
	e := &Exit{Key: p.string(), Status: syscall.WaitStatus(p.int())}
	e.At, e.Left, e.OOM = p.time(), int(p.int()), p.bool()
	return e
}

func putProcess(b []byte, s Process) []byte {
	b = putTime(putInt(putString(b, s.Key), int64(s.PID)), s.Started)
	b = putInt(b, int64(s.StartTicks))
	if b = putBool(b, s.Exit != nil); s.Exit != nil {
		b = putExit(b, s.Exit)
	}
	return putBool(b, s.Gone)
}

func (p *payload) process() Process {
	s := Process{Key: p.string(), PID: int(p.int()), Started: p.time(), StartTicks: uint64(p.int())}
	if p.bool() {
		s.Exit = p.exit()
	}
	s.Gone = p.bool()
	return s
}

// hello opens the inventory.
type hello struct {
	version, starts int
	reverted        string
}

func putHello(b []byte, h hello) []byte {
	return putString(putInt(putInt(b, int64(h.version)), int64(h.starts)), h.reverted)
}

// hello does not ask for the payload's end: a newer keeper may say more.
func (p *payload) hello() (hello, error) {
	h := hello{version: int(p.int()), starts: int(p.int()), reverted: p.string()}
	if p.bad {
		return hello{}, errFrame
	}
	return h, nil
}
