package watch

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// loop has all the state, which only its goroutine touches.
type loop struct {
	w      *Watcher
	log    *slog.Logger
	refuse func(path string) error // Options.add

	notify   *fsnotify.Watcher // nil until something is to be watched
	folders  map[string]*folder
	byID     map[fileID]*folder
	subjects map[string]*subject
	busy     map[string]bool // names of which a call of Fire is running
	strays   []*folder       // found at another path, before any event told that they moved

	recount  bool // what the system refuses may have changed
	shortage bool // a refusal was reported
}

func newLoop(w *Watcher, o Options) *loop {
	return &loop{
		w: w, log: o.Log, refuse: o.add,
		folders: make(map[string]*folder), byID: make(map[fileID]*folder),
		subjects: make(map[string]*subject), busy: make(map[string]bool),
	}
}

// instanceError is the refusal of a first watch: there is no inotify instance.
type instanceError struct{ err error }

func (e *instanceError) Error() string { return e.err.Error() }
func (e *instanceError) Unwrap() error { return e.err }

func (l *loop) run() error {
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	checked := time.Now()
	for {
		var events chan fsnotify.Event
		var faults chan error
		if l.notify != nil {
			events, faults = l.notify.Events, l.notify.Errors
		}
		select {
		case <-l.w.closing:
			if l.notify == nil {
				return nil
			}
			return l.notify.Close()
		case call := <-l.w.syncs:
			l.sync(call.rules)
			close(call.done)
		case name := <-l.w.fired:
			delete(l.busy, name)
			if s := l.subjects[name]; s != nil {
				s.ended = time.Now()
			}
		case e := <-events:
			l.event(e)
		case err := <-faults:
			l.fault(err)
		case <-timer.C:
		}
		now := time.Now()
		if now.Sub(checked) >= recheck {
			l.recheck()
			checked = time.Now()
		}
		timer.Reset(min(l.fireDue(now), checked.Add(recheck).Sub(now)))
	}
}

// sync makes the subjects what rules says.
func (l *loop) sync(rules map[string]Rule) {
	var dropped []*root
	for name, s := range l.subjects {
		if _, ok := rules[name]; !ok {
			dropped = append(dropped, s.roots...)
			delete(l.subjects, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		rule := rules[name]
		s := l.subjects[name]
		if s != nil && s.rule.equal(rule) {
			continue
		}
		if s == nil {
			s = &subject{name: name}
			l.subjects[name] = s
		}
		dropped = append(dropped, s.roots...)
		l.begin(s, rule)
	}
	l.recount = true
	// Only now, so that a folder that is still wanted keeps its watch.
	for _, r := range dropped {
		if r.top != nil {
			l.detach(r.top)
		}
		for _, a := range r.anchors {
			l.detach(a)
		}
	}
	l.settle()
}

// begin watches what a new rule names.
func (l *loop) begin(s *subject, rule Rule) {
	s.rule, s.roots, s.since, s.warned, s.again = rule, nil, time.Now(), nil, 0
	err := rule.Validate()
	if err == nil {
		s.filter, err = newFilter(rule)
	}
	if err != nil {
		l.log.Error("nothing is watched", "app", s.name, "error", err)
		return
	}
	for _, path := range rule.Paths {
		r := &root{app: s}
		if r.path, r.glob = split(path); r.glob == "" && s.filter.isOwn(r.path) {
			continue
		}
		s.roots = append(s.roots, r)
		l.resolve(r)
	}
}

// event deals with one event of the system's, which names an entry of a watched
// folder or a watched folder itself.
func (l *loop) event(e fsnotify.Event) {
	if e.Name == "" {
		return // fsnotify's way to say nothing
	}
	const otherFile = fsnotify.Create | fsnotify.Remove | fsnotify.Rename
	self := l.folders[e.Name]
	var selves []*listener
	if self != nil && e.Op&otherFile != 0 {
		self.stale = true
		selves = slices.Collect(maps.Keys(self.listeners))
	}
	dir, name := filepath.Split(e.Name)
	if f := l.folders[filepath.Clean(dir)]; f != nil && name != "" {
		for _, li := range slices.Collect(maps.Keys(f.listeners)) {
			if li.at == f { // not ended meanwhile
				l.entry(li, name, e.Op)
			}
		}
	}
	l.gone(self, selves)
	l.settle()
}

// entry tells a listener what happened to an entry of its folder.
func (l *loop) entry(li *listener, name string, op fsnotify.Op) {
	const otherFile = fsnotify.Create | fsnotify.Remove | fsnotify.Rename
	r := li.root
	if li.name != "" {
		if li.name != name {
			return
		}
		path := li.path
		switch {
		case op == fsnotify.Chmod && !r.app.touched(path):
		case li.parent != nil: // what a symbolic link leads to
			l.mark(r, path)
		case op&otherFile != 0:
			was := r.id
			l.resolve(r)
			if li.final && r.id == was {
				l.mark(r, path)
			}
		case li.final:
			l.mark(r, path)
		}
		return
	}
	path := join(li.path, name)
	if r.ignored(path, join(li.at.path, name)) {
		return
	}
	if op == fsnotify.Chmod && !r.app.touched(path) {
		return
	}
	if r.matches(path) {
		l.mark(r, path)
	}
	if op&otherFile != 0 {
		l.look(li, name)
	}
}

// look watches what an entry of a folder is now, in place of what it was. What is
// found in a new folder was created before it could be watched, so it counts.
func (l *loop) look(li *listener, name string) {
	old := li.children[name]
	delete(li.children, name)
	if li.at != nil {
		var links []link
		info, err := os.Lstat(join(li.at.path, name))
		switch {
		case err != nil:
		case info.IsDir():
			l.enter(li, join(li.at.path, name), name, false, true, &links)
		case info.Mode()&fs.ModeSymlink != 0:
			links = append(links, link{li, li.at.path, name})
		}
		for len(links) > 0 {
			k := links[0]
			links = links[1:]
			l.followLink(k, true, &links)
		}
	}
	if old != nil && l.detach(old) {
		l.resolve(li.root) // another link may lead where the one led that is gone
	}
}

// gone has listeners of a folder that was removed or moved away look again at
// what is there now, as far as they still are of that folder.
func (l *loop) gone(f *folder, listeners []*listener) {
	for _, li := range listeners {
		switch name := filepath.Base(li.path); {
		case li.at != f:
		case li.parent == nil:
			l.resolve(li.root)
		case li.parent.children[name] == li:
			l.look(li.parent, name)
		}
	}
}

// settle ends what began with an event or a call.
func (l *loop) settle() {
	for len(l.strays) > 0 {
		f := l.strays[0]
		l.strays = l.strays[1:]
		l.gone(f, slices.Collect(maps.Keys(f.listeners)))
	}
	if l.recount {
		l.recount = false
		l.reportRefused()
	}
}

// fault deals with an error of the system's watcher.
func (l *loop) fault(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		l.log.Warn("watching files", "error", err)
		return
	}
	l.log.Warn("too many files changed at once: all watched apps count as changed")
	for _, f := range l.folders {
		f.stale = true
	}
	for _, s := range l.subjects {
		for _, r := range s.roots {
			l.resolve(r)
			l.mark(r, r.path)
		}
	}
	l.settle()
}

// recheck finds what no event tells, and tries again what was refused.
func (l *loop) recheck() {
	for _, s := range l.subjects {
		for _, r := range s.roots {
			var id fileID
			if info, err := os.Stat(r.path); err == nil {
				id = identify(info)
			}
			if id != r.id || r.refused > 0 {
				l.recount = true
				l.resolve(r)
			}
		}
	}
	l.settle()
}

// refused counts a folder that the system does not watch.
func (l *loop) refused(li *listener, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return // gone meanwhile
	}
	l.recount = true
	li.root.refused++
	li.root.app.refusal = err
}

// reportRefused says once what cannot be watched, and once that all can be.
func (l *loop) reportRefused() {
	total, apps := 0, []string(nil)
	var cause error
	for name, s := range l.subjects {
		n := 0
		for _, r := range s.roots {
			n += r.refused
		}
		if n > 0 {
			total += n
			apps = append(apps, name)
			cause = s.refusal
		}
	}
	if l.shortage == (total > 0) {
		return
	}
	l.shortage = total > 0
	if total == 0 {
		l.log.Info("all folders are watched again")
		return
	}
	slices.Sort(apps)
	l.log.Warn("not all folders can be watched; the others are", "refused", total, "apps", apps, "error", cause, "remedy", remedy(cause))
}

// warn says a thing about a folder of an app once for each rule.
func (l *loop) warn(s *subject, text string, args ...any) {
	key, _ := args[1].(string)
	if s.warned[key] {
		return
	}
	if s.warned == nil {
		s.warned = make(map[string]bool)
	}
	s.warned[key] = true
	l.log.Warn(text, append([]any{"app", s.name}, args...)...)
}
