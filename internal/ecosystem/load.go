package ecosystem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"paceline/internal/app"
)

// LoadOptions say which app file to read, and with what eyes.
type LoadOptions struct {
	File    string    // as the user typed it, relative to Dir; "-" is Stdin
	Stdin   io.Reader // for "-"
	Dir     string    // the caller's folder, absolute
	Environ []string  // the caller's environment
	Exe     string    // this program, which evaluates JavaScript in a process of its own
	CPUs    func() int
	LogDir  string    // where `log: true` puts its file
	Log     io.Writer // where console.log of a JavaScript file goes; nil: nowhere

	EnvName string // --env
	// KeepGoing is PM2's way: apps that cannot be had, as their scripts are not there,
	// are left out of what Load returns beside the error.
	KeepGoing bool
	Only      []string // names of apps; none means all
	// Override goes before what the file says, for each app: Namespace, Cwd,
	// Instances, User, GID and Watch.
	Override StartOptions
}

// File is an app file that has been read.
type File struct {
	Path string // absolute; "" for the standard input
	// Apps are complete and valid, in the order of the file; jobs and static folders
	// follow the apps.
	Apps     []app.Spec
	Deploy   map[string]json.RawMessage // deploy.<env>, as it is written
	Warnings []string                   // one line each
	Notes    []string                   // what is taken and has no effect; one line each
}

// ErrNoSuchApp tells that a file has no app of a name that Only holds.
var ErrNoSuchApp = errors.New("nothing is meant")

// Load reads an app file. Errors: ErrNoSuchApp, *Problems for what is wrong with its apps,
// *jseval.Error for JavaScript, else one line that names the file.
func Load(ctx context.Context, o LoadOptions) (*File, error) {
	l, err := newLoader(ctx, &o)
	if err != nil {
		return nil, err
	}
	if err := l.only(); err != nil {
		return nil, err
	}
	written := len(l.problems)
	for _, d := range l.drafts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.resolve(ctx, d)
	}
	if o.KeepGoing && written == 0 && len(l.problems) > 0 && len(l.file.Apps) > 0 {
		return &l.file, &Problems{File: l.shown, List: l.problems}
	}
	l.related()
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Problems{File: l.shown, List: l.problems}
	}
	return &l.file, nil
}

// Names returns what the apps of a file are called, of those that Only means. What
// else the file says is not looked at, so that apps can be stopped whose scripts are
// gone.
func Names(ctx context.Context, o LoadOptions) ([]string, error) {
	l, err := newLoader(ctx, &o)
	if err != nil {
		return nil, err
	}
	if err := l.only(); err != nil {
		return nil, err
	}
	var names []string
	for _, d := range l.drafts {
		name := d.Name
		if name == "" {
			if spec, _, err := FromArgs(ctx, d.StartOptions); err == nil {
				name = spec.Name
			} else {
				name = d.guessName()
			}
		}
		names = append(names, name)
	}
	return names, nil
}

// loader is one app file on its way to specs.
type loader struct {
	parsed
	options  *LoadOptions
	index    *fieldIndex
	drafts   []*draft
	deploy   map[string]string // the variables of deploy.<env>
	lookups  *lookups
	file     File
	problems []Problem
}

func newLoader(ctx context.Context, o *LoadOptions) (*loader, error) {
	p, err := parse(ctx, o)
	if err != nil {
		return nil, err
	}
	l := &loader{parsed: p, options: o, index: newFieldIndex(), lookups: newLookups()}
	l.file.Path = p.path
	if err := l.top(); err != nil {
		return nil, p.explain(err)
	}
	return l, nil
}

// top finds the lists of the file.
func (l *loader) top() error {
	v := l.value
	switch v.kind {
	case list:
		return l.add(v, "app")
	case object:
	default:
		return fmt.Errorf("holds %s where an object with apps, or a list of apps, should be", v.kind)
	}
	apps, ok := v.get("apps")
	if pm2, has := v.get("pm2"); has && !ok {
		apps, ok = pm2, true
	}
	if !ok && !l.isPackage() {
		if _, is := v.get("script"); is || l.looksLikeApp(v) {
			return l.add(v, "app")
		}
	}
	for _, m := range v.members {
		switch {
		case m.key == "apps" || m.key == "pm2" || m.key == "$schema" || l.isPackage():
		case m.key == "deploy":
			if err := l.readDeploy(m.value); err != nil {
				return err
			}
		case m.key == "jobs" || m.key == "static":
			ok = true
		default:
			l.warn(Problem{Line: m.line, Message: unknownKey(m.key, Nearest(m.key, []string{"apps", "pm2", "jobs", "static", "deploy"}))})
		}
	}
	if !ok && len(l.file.Deploy) == 0 {
		if l.isPackage() {
			return errors.New("has neither apps nor pm2; name the script to start")
		}
		return errors.New("names no apps: it has none of apps, pm2, jobs and static")
	}
	if ok && apps.kind == object && apps.members != nil && l.isPackage() {
		if inner, has := apps.get("apps"); has {
			apps = inner
		}
	}
	if apps.kind != null {
		if err := l.add(apps, "app"); err != nil {
			return err
		}
	}
	for _, key := range []string{"jobs", "static"} {
		if items, has := v.get(key); has && !l.isPackage() {
			if err := l.add(items, map[string]string{"jobs": "job", "static": "static folder"}[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) isPackage() bool { return strings.HasSuffix(l.path, "/package.json") }

// looksLikeApp tells one app from an object with lists of them.
func (l *loader) looksLikeApp(v value) bool {
	for _, key := range []string{"exec", "cmd", "command"} {
		if _, ok := v.get(key); ok {
			return true
		}
	}
	return false
}

// add takes the apps of a list, or the one that stands there by itself.
func (l *loader) add(v value, what string) error {
	items := v.items
	switch v.kind {
	case object:
		items = []value{v}
	case list:
	default:
		return fmt.Errorf("want a list of apps, not %s", v.kind)
	}
	for i, item := range items {
		d := &draft{place: fmt.Sprintf("%s %d", what, i+1), line: item.line}
		if item.kind != object {
			l.problem(d, Problem{Line: item.line, Message: wrongKind("an object", item).Error()})
			continue
		}
		if what == "static folder" {
			l.addStatic(d, item)
			continue
		}
		if what == "job" {
			item = asJob(item)
		}
		problems, warnings := d.read(item, l.index)
		if what == "job" && d.Restart.Schedule == "" && len(problems) == 0 {
			problems = append(problems, Problem{Line: item.line, Field: "schedule", Message: `is missing: a cron pattern such as "0 3 * * *"`})
		}
		l.finish(d, problems, warnings)
	}
	return nil
}

// asJob reads `cron` as the schedule, which it is in a list of jobs.
func asJob(v value) value {
	v.members = slices.Clone(v.members)
	for i, m := range v.members {
		if m.key == "cron" {
			v.members[i].key = "schedule"
		}
	}
	return v
}

// finish completes a draft that has been read.
func (l *loader) finish(d *draft, problems, warnings []Problem) {
	o := l.options
	d.Dir, d.Environ, d.CPUs, d.lookups, d.Source = o.Dir, o.Environ, o.CPUs, l.lookups, l.path
	d.Log.Dir = o.LogDir
	d.override(&o.Override)
	d.finish(o.EnvName, l.deploy)
	if err := d.asServer(); err != nil {
		problems = append(problems, Problem{Line: d.lines["env"], Field: "env", Message: err.Error()})
	}
	if d.served != nil {
		exe, err := l.program()
		if err != nil {
			problems = append(problems, Problem{Line: d.line, Message: err.Error()})
		}
		d.Target, d.Interpreter = exe, ""
	}
	if strings.TrimSpace(d.Target) == "" && len(problems) == 0 {
		problems = append(problems, Problem{Line: d.line, Field: "script", Message: "is missing: name what to run"})
	}
	for _, p := range problems {
		l.problem(d, p)
	}
	for _, w := range warnings {
		w.App = d.label()
		l.warn(w)
	}
	if len(d.idle) > 0 {
		l.file.Notes = append(l.file.Notes, fmt.Sprintf("%s: no effect here: %s", d.label(), strings.Join(d.idle, ", ")))
	}
	l.drafts = append(l.drafts, d)
}

// override puts what the command line says before the file.
func (d *draft) override(o *StartOptions) {
	for _, f := range []struct{ from, to *string }{
		{&o.Namespace, &d.Namespace}, {&o.Cwd, &d.Cwd}, {&o.Instances, &d.Instances}, {&o.User, &d.User}, {&o.GID, &d.GID},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if o.Watch.On || len(o.Watch.Paths) > 0 {
		d.Watch.On, d.Watch.Paths = true, o.Watch.Paths
	}
	if o.Watch.IgnoreSet || len(o.Watch.Ignore) > 0 {
		d.Watch.Ignore, d.Watch.IgnoreSet = o.Watch.Ignore, true
	}
}

func (l *loader) problem(d *draft, p Problem) {
	p.App = d.label()
	if p.Line == 0 {
		p.Line = d.line
	}
	if p.Line == 0 && p.App != d.place {
		p.App = fmt.Sprintf("%s (%s)", d.place, p.App)
	}
	l.problems = append(l.problems, p)
}

func (l *loader) warn(p Problem) {
	one := Problems{File: l.shown, List: []Problem{p}}
	l.file.Warnings = append(l.file.Warnings, one.Line(0))
}

// only leaves the apps that --only names.
func (l *loader) only() error {
	names := l.options.Only
	if len(names) == 0 {
		return nil
	}
	var kept []*draft
	var all []string
	for _, d := range l.drafts {
		all = append(all, d.label())
		if slices.Contains(names, d.label()) || slices.Contains(names, d.Name) {
			kept = append(kept, d)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(kept, func(d *draft) bool { return d.label() == name }) {
			return fmt.Errorf("%w: %s has no app %q; it has %s", ErrNoSuchApp, l.shown, name, few(all))
		}
	}
	l.drafts = kept
	l.problems = slices.DeleteFunc(l.problems, func(p Problem) bool {
		return !slices.ContainsFunc(kept, func(d *draft) bool {
			return p.App == d.label() || p.App == fmt.Sprintf("%s (%s)", d.place, d.label())
		})
	})
	return nil
}

// few lists names, but not hundreds.
func few(names []string) string {
	if len(names) > 12 {
		return strings.Join(names[:12], ", ") + fmt.Sprintf(" and %d more", len(names)-12)
	}
	return strings.Join(names, ", ")
}

// resolve makes the spec of a draft, unless it has a problem already.
func (l *loader) resolve(ctx context.Context, d *draft) {
	for _, p := range l.problems {
		if p.App == d.label() || p.App == fmt.Sprintf("%s (%s)", d.place, d.label()) {
			return
		}
	}
	spec, warnings, err := FromArgs(ctx, d.StartOptions)
	if err == nil {
		err = l.serving(d, &spec)
	}
	if err != nil {
		name, message := l.index.inFile(err.Error())
		if name == "" && strings.Contains(message, d.Target) {
			name = "script"
		}
		p := Problem{Line: d.lines[name], Field: name, Message: message + l.beside(d, err)}
		l.problem(d, p)
		return
	}
	for _, w := range warnings {
		_, text := l.index.inFile(w)
		if len(l.file.Apps) == 0 || !strings.HasPrefix(w, "left out of the environment") { // once is enough
			l.file.Warnings = append(l.file.Warnings, spec.Name+": "+text)
		}
	}
	l.file.Apps = append(l.file.Apps, spec)
}

// related checks what the apps have to do with each other.
func (l *loader) related() {
	seen := map[string]*draft{}
	for i := range l.file.Apps {
		if i >= len(l.drafts) || len(l.problems) > 0 {
			break
		}
		d, name := l.drafts[i], l.file.Apps[i].Name
		if first := seen[name]; first != nil {
			message := fmt.Sprintf("two apps have this name: %s and %s", first.place, d.place)
			l.problems = append(l.problems, Problem{Line: max(d.lines["name"], d.line), App: name, Message: message})
		}
		seen[name] = d
	}
	if len(l.problems) == 0 {
		if _, err := app.StartOrder(l.file.Apps); err != nil {
			text := strings.TrimPrefix(err.Error(), app.ErrInvalid.Error()+": ")
			l.problems = append(l.problems, Problem{Message: text})
		}
	}
	if l.options.EnvName != "" && len(l.problems) == 0 && !l.hasEnv() {
		l.file.Warnings = append(l.file.Warnings,
			fmt.Sprintf("%s has no env_%s, so --env %s changes nothing", l.shown, l.options.EnvName, l.options.EnvName))
	}
}

func (l *loader) hasEnv() bool {
	if l.deploy != nil {
		return true
	}
	return slices.ContainsFunc(l.drafts, func(d *draft) bool { return d.named[l.options.EnvName] != nil })
}

// beside tells that a script which was not found stands beside the app file.
func (l *loader) beside(d *draft, err error) string {
	if _, none := errors.AsType[*missing](err); !none || l.path == "" {
		return ""
	}
	dir := strings.TrimSuffix(l.path, "/"+lastPart(l.path))
	if dir == d.Dir || readableFile(join(dir, d.Target)) != nil {
		return ""
	}
	return fmt.Sprintf("; it is beside the app file, but paths go from cwd or the folder in which you call: set cwd to %s", dir)
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// readDeploy takes the deploy section: the variables of the wanted environment, and
// all of it as it is for `pace deploy`.
func (l *loader) readDeploy(v value) error {
	if v.kind != object {
		return fmt.Errorf("deploy: %w", wrongKind("an object of environments", v))
	}
	l.file.Deploy = map[string]json.RawMessage{}
	for _, m := range v.members {
		l.file.Deploy[m.key] = m.value.appendJSON(nil)
		if env, has := m.value.get("env"); has && m.key == l.options.EnvName {
			vars, err := envOf(env)
			if err != nil {
				return fmt.Errorf("deploy.%s.env: %w", m.key, err)
			}
			l.deploy = vars
		}
	}
	return nil
}
