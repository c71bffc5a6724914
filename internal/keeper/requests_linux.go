package keeper

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// handle does what the daemon asks for and answers.
func (k *keeper) handle(r *request) {
	defer func() { closeFDs(r.fds) }() // what was not taken
	if r.kind == kindTrap && r.err == nil {
		k.handleTrap(r)
		return
	}
	started, err := k.do(r)
	if r.id == noReply {
		k.logError(err)
		return
	}
	b := putError(begin(nil, kindReply, 0, r.id), err)
	if started != nil {
		b = putProcess(b, started.told())
	}
	k.session.out.put(letter{bytes: end(b), fd: none})
}

// handleTrap answers the one request whose reply has a descriptor.
func (k *keeper) handleTrap(r *request) {
	t, fd, err := k.trap(r.key, r.filter)
	if err != nil {
		k.session.out.put(letter{bytes: end(putError(begin(nil, kindReply, 0, r.id), err)), fd: none})
		return
	}
	b := putError(begin(nil, kindReply, 1, r.id), nil)
	b = putTrap(b, trapReply{noNewPrivs: t.NoNewPrivs, waitKillable: t.WaitKillable})
	k.session.out.put(letter{bytes: end(b), fd: fd, owned: true})
}

func (k *keeper) do(r *request) (started *process, err error) {
	if r.err != nil {
		return nil, r.err
	}
	switch r.kind {
	case kindSpawn:
		return k.spawn(r)
	case kindSignal:
		return nil, k.children.signal(r.key, r.sig, r.scope)
	case kindKeep:
		if err := k.shelf.check(r.keep); err != nil {
			return nil, err
		}
		k.shelf.keep(r.keep, r.fds)
	case kindDrop:
		for _, name := range r.names {
			k.shelf.drop(name)
		}
	case kindForget:
		return nil, k.children.forget(r.key)
	case kindReplace:
		return nil, k.replace(r.key)
	case kindShutdown:
		k.note("asked to end after the daemon")
		k.stopping = true
		k.logError(k.home.hide())
	}
	return nil, nil
}

// spawn starts a process and keeps what belongs to it. Nothing can come in between:
// a daemon that dies finds both done or neither.
func (k *keeper) spawn(r *request) (*process, error) {
	s := r.spawn
	if s.key == "" || s.path == "" {
		return nil, fmt.Errorf("spawn %q: no key or no path", s.path)
	}
	if err := k.shelf.check(s.keep); err != nil {
		return nil, err
	}
	l := launch{
		key: s.key, path: s.path, dir: s.dir, argv: s.argv, env: s.env,
		files: slices.Repeat([]int{k.null}, max(3, len(s.files))), credential: s.credential, cgroup: none,
	}
	for i, file := range s.files {
		if file != none {
			l.files[i] = r.fds[file]
		} else if i > 2 {
			l.files[i] = none
		}
	}
	if s.cgroup != none {
		l.cgroup = r.fds[s.cgroup]
	}
	if s.trap != "" {
		if l.trap = k.traps[s.trap]; l.trap == nil {
			return nil, fmt.Errorf("spawn %q: there is no trap %q: %w", s.path, s.trap, unix.EINVAL)
		}
	}
	p, err := k.children.start(l)
	if err != nil {
		return nil, err
	}
	k.shelf.keep(s.keep, r.fds)
	return p, nil
}

// replace makes another binary the next daemon.
func (k *keeper) replace(exe string) error {
	if !filepath.IsAbs(exe) {
		return fmt.Errorf("use %q as daemon: not an absolute path: %w", exe, unix.EINVAL)
	}
	if err := isProgram(exe); err != nil {
		return fmt.Errorf("use %s as daemon: %w", exe, err)
	}
	k.daemon.replace(exe)
	k.log.Printf("the next daemon is %s", exe)
	return nil
}

// putInventory sends all that a new daemon has to know.
func (k *keeper) putInventory() {
	put := k.session.out.put
	h := hello{version: Version, starts: k.daemon.starts, reverted: k.daemon.reverted}
	put(letter{bytes: end(putHello(begin(nil, kindHello, 0, 0), h)), fd: none})
	for _, p := range k.children.list() {
		put(letter{bytes: end(putProcess(begin(nil, kindProcess, 0, 0), p)), fd: none})
	}
	for _, name := range slices.Sorted(maps.Keys(k.shelf)) {
		e := k.shelf[name]
		files := 0
		if e.fd != none {
			files = 1
		}
		b := putOptional(putString(begin(nil, kindEntry, files, 0), name), e.note)
		put(letter{bytes: end(b), fd: e.fd})
	}
	put(letter{bytes: end(begin(nil, kindReady, 0, 0)), fd: none})
	put(letter{last: true, fd: none})
}
