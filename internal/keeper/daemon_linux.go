package keeper

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The descriptors on which a daemon finds the keeper and the API's listening
// socket come after the standard ones.
const (
	wireFD     = 3
	listenerFD = 4
)

// daemon is the one process that the keeper starts by itself.
type daemon struct {
	respawn
	argv    []string
	process *process // nil while there is none
	starts  int
}

// respawn decides when the next daemon starts, and from which binary.
type respawn struct {
	binary   string
	previous string // to go back to, as long as binary has not proved itself
	reverted string // what we went back from
	replaced bool   // the next death is wanted
	proven   bool   // some daemon has lived
	quick    int    // deaths in a row soon after the start
}

const (
	// settled is how long a daemon has to live to count as working.
	settled = time.Second
	// firstWait and longestWait bound the wait before a start, which doubles.
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
	// triesReplaced is how often a replaced binary may fail.
	triesReplaced = 3
	// triesIdle is how often a daemon that has never lived may fail while there is
	// nothing to keep for it.
	triesIdle = 5
)

// died returns how long to wait before the next start.
func (r *respawn) died(lived time.Duration) time.Duration {
	switch {
	case r.replaced:
		r.replaced = false
		return 0
	case lived >= settled:
		r.proven, r.previous, r.quick = true, "", 0
		return 0
	}
	r.quick++
	switch {
	case r.previous != "" && r.quick >= triesReplaced:
		r.reverted, r.binary, r.previous, r.quick = r.binary, r.previous, "", 0
		return 0
	case r.quick == 1:
		return 0
	}
	const maxShift = 8
	return min(firstWait<<min(r.quick-2, maxShift), longestWait)
}

// replace makes exe the next daemon's binary.
func (r *respawn) replace(exe string) {
	if r.previous == "" {
		r.previous = r.binary
	}
	r.binary, r.reverted, r.replaced, r.quick = exe, "", true, 0
}

// startDaemon starts a daemon and puts the inventory on its wire.
func (k *keeper) startDaemon() error {
	k.alarm.Stop() // it may have been meant for the one before
	link, theirs, err := newWire()
	if err != nil {
		return err
	}
	defer closeFD(theirs)
	argv := slices.Clone(k.daemon.argv)
	argv[0] = k.daemon.binary
	p, err := k.children.start(launch{
		path: argv[0], argv: argv, env: daemonEnviron(k.home.dir), cgroup: none,
		files: []int{0: k.null, 1: k.stdout, 2: k.output, wireFD: theirs, listenerFD: k.home.listener},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start daemon: %w", err), link.close())
	}
	k.daemon.process = p
	k.daemon.starts++
	k.note("daemon %d started, pid %d", k.daemon.starts, p.PID)
	k.logError(k.home.write(daemonPIDFile, strconv.Itoa(p.PID)+"\n"))
	k.session = newSession(link)
	k.putInventory()
	return nil
}

func daemonEnviron(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, homeVariable) })
	return append(env, homeVariable+home)
}

// daemonEnded hears out what the dead daemon had asked for; its successor starts
// when that is done.
func (k *keeper) daemonEnded(p *process) {
	if k.front == nil || !k.stopping {
		k.log.Printf("daemon ended: %s", describe(p.Exit.Status))
	}
	k.daemon.process = nil
	if p.left > 0 { // its helpers; the processes of apps are not its children
		if err := k.children.signalTree(p, syscall.SIGKILL); err != nil {
			k.log.Printf("kill helpers of the daemon: %v", err)
		}
	}
	k.logError(k.home.remove(daemonPIDFile))
	lived := p.Exit.At.Sub(p.Started)
	if k.session == nil {
		k.replaceDaemon(lived)
		return
	}
	k.session.lived = lived
	k.logError(k.session.link.finish())
}

// hungUp is the end of the wire: usually the daemon has died, and else it is about
// to.
func (k *keeper) hungUp() {
	s := k.session
	k.session = nil
	k.logError(s.readErr)
	if k.daemon.process != nil {
		k.logError(s.link.finish())
	}
	k.logError(s.end())
	if k.daemon.process == nil {
		k.replaceDaemon(s.lived)
	} else {
		k.after(k.hangUp, func() { k.signalDaemon(syscall.SIGKILL) })
	}
}

// replaceDaemon starts the next one, or lets the keeper end.
func (k *keeper) replaceDaemon(lived time.Duration) {
	if k.stopping {
		k.finish()
		return
	}
	reverted := k.daemon.reverted
	wait := k.daemon.died(lived)
	if k.daemon.reverted != reverted {
		k.log.Printf("%s does not live: back to %s", k.daemon.reverted, k.daemon.binary)
	}
	if !k.daemon.proven && k.daemon.quick >= triesIdle && len(k.children.byKey)+len(k.shelf) == 0 {
		k.err = errors.New("daemon ends at each start")
		return
	}
	start := func() {
		if err := k.startDaemon(); err != nil {
			k.log.Print(err)
			k.replaceDaemon(0)
		}
	}
	if wait > 0 {
		k.after(wait, start)
		return
	}
	start()
}

func (k *keeper) signalDaemon(sig syscall.Signal) {
	if p := k.daemon.process; p != nil {
		k.logError(kill(p.PID, sig))
	}
}

func (k *keeper) logError(err error) {
	if err != nil {
		k.log.Print(err)
	}
}

// describe puts a wait status in words.
func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return s.Signal().String()
	}
	return "exit status " + strconv.Itoa(s.ExitStatus())
}
