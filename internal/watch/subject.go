package watch

import (
	"os"
	"slices"
	"time"
)

const (
	// selfMade is how soon after a call of Fire a change looks like the app's own.
	selfMade = 2 * time.Second
	// selfMadeMany is after how many of them in a row it is said.
	selfMadeMany = 5
)

// subject is an app that is watched.
type subject struct {
	name   string
	rule   Rule
	filter *filter
	roots  []*root

	changed     map[string][]string // a few paths for each root that has any
	first, last time.Time           // when
	until       time.Time           // end of the delay; zero before it begins
	since       time.Time           // earlier changes are covered by the last call, or by the start
	ended       time.Time           // when the last call returned
	again       int                 // calls in a row that look like the app's own doing
	previous    []string            // what the last call was about

	refusal error           // why the system does not watch a folder
	warned  map[string]bool // folders of which something was said
}

// mark notes a change.
func (l *loop) mark(r *root, path string) {
	s := r.app
	now := time.Now()
	if len(s.changed) == 0 {
		s.changed = make(map[string][]string)
		s.first = now
	}
	s.last = now
	if list := s.changed[r.path]; len(list) < someChanged && !slices.Contains(list, path) {
		s.changed[r.path] = append(list, path)
	}
}

// touched reports whether a file's time was set to about now, by which touch
// differs from chmod. A time before the last call is no news.
func (s *subject) touched(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	return info.ModTime().After(s.since) && time.Since(info.ModTime()) > -time.Second
}

// fireDue calls Fire for every app for which it is time, and returns how long it
// is until the next is due.
func (l *loop) fireDue(now time.Time) time.Duration {
	next := recheck
	for _, s := range l.subjects {
		if len(s.changed) == 0 || l.busy[s.name] {
			continue
		}
		if s.until.IsZero() {
			quiet := s.last.Add(Quiet)
			if most := s.first.Add(Longest); most.Before(quiet) {
				quiet = most
			}
			if wait := quiet.Sub(now); wait > 0 {
				next = min(next, wait)
				continue
			}
			s.until = now.Add(s.rule.Delay)
		}
		if wait := s.until.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if s.held() { // until a root is there again, which is a change
			s.until = time.Time{}
			continue
		}
		l.start(s, now)
	}
	return next
}

// held reports whether all changes are in roots that are missing.
func (s *subject) held() bool {
	for _, r := range s.roots {
		if _, ok := s.changed[r.path]; ok && r.id != (fileID{}) {
			return false
		}
	}
	for path := range s.changed {
		if !slices.ContainsFunc(s.roots, func(r *root) bool { return r.path == path }) {
			return false // of an earlier rule
		}
	}
	return true
}

// start calls Fire in a goroutine of its own.
func (l *loop) start(s *subject, now time.Time) {
	var paths []string
	for _, list := range s.changed {
		paths = append(paths, list...)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	paths = paths[:min(len(paths), someChanged)]
	l.noteLoop(s, paths)
	s.changed, s.until, s.since, s.previous = nil, time.Time{}, now, slices.Clone(paths)
	l.busy[s.name] = true
	l.w.running.Go(func() {
		l.w.fire(s.name, paths)
		select {
		case l.w.fired <- s.name:
		case <-l.w.closing:
		}
	})
}

// noteLoop says so when an app seems to restart because of what it writes itself.
func (l *loop) noteLoop(s *subject, paths []string) {
	own := ""
	if s.first.Sub(s.ended) < selfMade {
		for _, p := range paths {
			if slices.Contains(s.previous, p) {
				own = p
				break
			}
		}
	}
	if own == "" {
		s.again = 0
		return
	}
	if s.again++; s.again == selfMadeMany {
		l.warn(s, "the app seems to change a watched file at each start, which restarts it; add it to ignore_watch", "file", own)
	}
}
