package daemon

import (
	"os"
	"path/filepath"
	"time"

	"paceline/internal/app"
	"paceline/internal/events"
	"paceline/internal/hooks"
)

// actHooks has hooks act on what happens, until the daemon ends. What it could not
// follow it reads from the history.
func (d *daemon) actHooks() {
	runner := hooks.New(hooks.Options{
		Home: d.Home, Log: d.warn, Report: d.hookReport, Prepare: runAs,
	})
	defer runner.Close()
	happening, stop := d.hub.followWithin(hookBuffer)
	defer func() { stop() }()
	global := globalHooks{d: d, path: filepath.Join(d.Home, hooks.FileName), gone: map[string]app.Spec{}}
	last := uint64(0)
	for {
		select {
		case <-d.ending.Done():
			return
		case e, ok := <-happening:
			if ok {
				if e.Seq > last { // else it was read from the history
					last = e.Seq
					d.hookInto(runner, &global, e)
				}
				continue
			}
			stop() // too slow
			happening, stop = d.hub.followWithin(hookBuffer)
			missed, err := d.past.Read(events.Query{After: last})
			if err != nil {
				d.log.Error("read events for hooks", "error", err)
			}
			for _, e := range missed {
				last = e.Seq
				d.hookInto(runner, &global, e)
			}
		}
	}
}

// hookBuffer is how many events may wait to be handed to hooks; what is more is read
// from the history.
const hookBuffer = 256

// hookInto hands an event to the hooks of its app, and of all.
func (d *daemon) hookInto(runner *hooks.Runner, global *globalHooks, e app.Event) {
	if len(e.HookWords()) == 0 || e.By == hookSender {
		return
	}
	for i, h := range global.list() {
		runner.Hear(hooks.Bound{Hook: h, Index: i}, e)
	}
	spec, ok := d.supervisor.Spec(e.Name)
	if !ok { // it has just been deleted
		spec = global.gone[e.Name]
		delete(global.gone, e.Name)
	} else if len(spec.Hooks) > 0 {
		global.gone[e.Name] = spec
	}
	for i, h := range spec.Hooks {
		runner.Hear(hooks.Bound{Hook: h, Owner: spec.Name, Index: i, Dir: spec.Cwd, User: spec.User}, e)
	}
}

// hookSender marks events about hooks, which no hook acts on: one that fails would tell
// of its own failure.
const hookSender = "hooks"

// hookReport tells of a hook that fails.
func (d *daemon) hookReport(owner, text string) {
	d.happened(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Name: owner, Detail: text, By: hookSender})
}

// globalHooks are those of all apps. The file is read again when it has changed; a
// broken one is told of once, and what was read before goes on.
type globalHooks struct {
	d    *daemon
	path string

	seen  os.FileInfo // of what was read last
	hooks []app.Hook

	gone map[string]app.Spec // apps with hooks of their own as they were last, for the event of their end
}

func (g *globalHooks) list() []app.Hook {
	if nameless(g.d.Home) {
		return nil
	}
	info, err := os.Stat(g.path)
	if err != nil {
		g.seen, g.hooks = nil, nil
		return nil
	}
	if g.seen != nil && os.SameFile(info, g.seen) && info.ModTime().Equal(g.seen.ModTime()) && info.Size() == g.seen.Size() {
		return g.hooks
	}
	g.seen = info
	list, err := hooks.Load(g.path)
	if err != nil {
		g.d.hookReport("", err.Error())
		return g.hooks
	}
	g.hooks = list
	return list
}
