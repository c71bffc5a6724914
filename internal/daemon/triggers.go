package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"paceline/internal/app"
	"paceline/internal/schedule"
	"paceline/internal/supervisor"
	"paceline/internal/watch"
)

// triggers tell the supervisor what time has come and which files have changed. What
// they look at follows the apps that are wanted.
type triggers struct {
	ctx        context.Context
	log        *slog.Logger
	home       string
	supervisor *supervisor.Supervisor

	stale chan struct{} // holds a token while the apps may have changed

	mu      sync.Mutex          // guards what follows; held during a sync
	watcher *watch.Watcher      // nil until an app is watched
	times   *schedule.Scheduler // nil until an app has a pattern
}

// The kinds of a time, before the name of the app.
const (
	cronTime = "cron "
	jobTime  = "job "
)

// touch says that the apps may have changed. It never waits.
func (t *triggers) touch() {
	select {
	case t.stale <- struct{}{}:
	default:
	}
}

// run follows the changes until the daemon ends.
func (t *triggers) run() {
	for {
		select {
		case <-t.ctx.Done():
			t.close()
			return
		case <-t.stale:
			t.sync()
		}
	}
}

func (t *triggers) close() {
	t.mu.Lock()
	watcher, times := t.watcher, t.times
	t.mu.Unlock()
	if times != nil {
		times.Close()
	}
	if watcher != nil {
		if err := watcher.Close(); err != nil {
			t.log.Warn("end watching files", "error", err)
		}
	}
}

// sync looks at what the apps of now want. When it returns, no later change of a
// watched file is missed.
func (t *triggers) sync() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return
	}
	rules, patterns := map[string]watch.Rule{}, map[string]string{}
	for _, s := range t.supervisor.Apps() {
		if s.Watching() {
			rules[s.Name] = ruleOf(&s, t.ownFiles(&s))
		}
		if s.CronRestart != "" {
			patterns[cronTime+s.Name] = s.CronRestart
		}
		if s.Job != "" {
			patterns[jobTime+s.Name] = s.Job
		}
	}
	if t.watcher == nil && len(rules) > 0 {
		t.watcher = watch.New(watch.Options{Log: t.log, Fire: t.changed})
	}
	if t.watcher != nil {
		t.watcher.Sync(rules)
	}
	if t.times == nil && len(patterns) > 0 {
		t.times = schedule.New(schedule.Options{Log: t.log, Fire: t.due})
	}
	if t.times != nil {
		if err := t.times.Sync(patterns); err != nil {
			t.log.Error("follow cron patterns", "error", err)
		}
	}
}

// next returns when an app's pattern is due next; zero if it has none.
func (t *triggers) next(s *app.Spec) time.Time {
	key := cronTime + s.Name
	switch {
	case s.Job != "":
		key = jobTime + s.Name
	case s.CronRestart == "":
		return time.Time{}
	}
	t.mu.Lock()
	times := t.times
	t.mu.Unlock()
	if times == nil {
		return time.Time{}
	}
	at, _ := times.Next(key)
	return at
}

func (t *triggers) changed(name string, files []string) {
	if err := t.supervisor.FilesChanged(t.ctx, name, files[0]); err != nil {
		t.log.Warn("restart after a change of files", "app", name, "error", err)
	}
}

func (t *triggers) due(key string, _ time.Time) {
	do := t.supervisor.Cron
	name, isCron := strings.CutPrefix(key, cronTime)
	if !isCron {
		name, do = strings.TrimPrefix(key, jobTime), t.supervisor.RunJob
	}
	if err := do(t.ctx, name); err != nil {
		t.log.Warn("act as a pattern is due", "app", name, "error", err)
	}
}

// ruleOf says what is watched for an app.
func ruleOf(s *app.Spec, own []string) watch.Rule {
	r := watch.Rule{
		Paths: s.Watch.Paths, Ignore: s.Watch.Ignore, Base: s.Cwd, Delay: time.Duration(s.Watch.Delay), Own: own,
	}
	if len(r.Paths) == 0 {
		r.Paths = []string{s.Cwd}
	}
	return r
}

// checkTriggers reports the first watch or pattern of the specs that cannot be
// followed.
func checkTriggers(specs []app.Spec) error {
	for i := range specs {
		s := &specs[i]
		if s.Watch != nil {
			if err := ruleOf(s, nil).Validate(); err != nil {
				return fmt.Errorf("%w: %s: %w", app.ErrInvalid, s.Name, err)
			}
		}
		for _, f := range []struct{ field, pattern string }{{"cron_restart", s.CronRestart}, {"job", s.Job}} {
			if f.pattern == "" {
				continue
			}
			if _, err := schedule.Parse(f.pattern); err != nil {
				return fmt.Errorf("%w: %s: %s: %w", app.ErrInvalid, s.Name, f.field, err)
			}
		}
	}
	return nil
}

// ownFiles are the files that running an app writes: our home, where logs and pid
// files are as a rule, and those that it has elsewhere.
func (t *triggers) ownFiles(s *app.Spec) []string {
	own := []string{t.home}
	for _, st := range t.supervisor.List() {
		if st.Name == s.Name {
			f := filesOf(t.home, s, st.ID)
			own = append(own, f.out, f.err, f.both, f.pid)
		}
	}
	return slices.DeleteFunc(own, func(path string) bool { return path == "" })
}
