package ecosystem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"paceline/internal/app"
)

// IsDump tells whether a text is a dump of PM2's: a list of records with pm_exec_path.
func IsDump(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) && bytes.Contains(data, []byte("pm_exec_path"))
}

// ImportDump reads PM2's dump.pm2 and returns its apps, those of one name as one app
// with as many instances. Of o it takes Dir, Environ and CPUs: the environment finds
// interpreters, and tells the variables that an app has of its own (EnvOwn) from those
// of a shell. An app that was stopped has NoAutostart. Notes are one line each: what
// is not honoured, and apps that are left out since their script or interpreter is
// gone. The error is one line: the text is no dump.
func ImportDump(ctx context.Context, data []byte, o StartOptions) ([]app.Spec, []string, error) {
	v, err := decodeJSON(withoutBOM(data))
	if err != nil {
		return nil, nil, fmt.Errorf("read PM2's dump: %w", err)
	}
	if v.kind != list {
		return nil, nil, errors.New("read PM2's dump: want a list of apps, not " + v.kind.String())
	}
	o.lookups = newLookups()
	im := importer{options: o, index: newFieldIndex(), count: map[string]int{}}
	for i, record := range v.items {
		if record.kind != object {
			return nil, nil, fmt.Errorf("read PM2's dump: record %d is %s, not an object", i+1, record.kind)
		}
		if env, ok := record.get("pm2_env"); ok && env.kind == object { // of `pm2 jlist`
			record = env
		}
		im.add(ctx, record, i+1)
	}
	for i := range im.specs {
		s := &im.specs[i]
		if n := im.count[s.Name]; n > 1 && n <= app.MaxInstances {
			s.Instances = n
		}
	}
	return im.specs, im.notes, nil
}

type importer struct {
	options StartOptions
	index   *fieldIndex
	specs   []app.Spec
	count   map[string]int // records of that name
	notes   []string
}

func (im *importer) note(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if !slices.Contains(im.notes, text) {
		im.notes = append(im.notes, text)
	}
}

// notCarried are keys of a record that are PM2's state rather than the user's wish, or
// that are read apart.
var notCarried = []string{
	"env", "instances", "exec_mode", "script", "name", "cwd", "out_file", "error_file", "log_file", "pid_file", "user", "username",
	"filter_env", "version", "status",
}

func (im *importer) add(ctx context.Context, record value, place int) {
	get := func(key string) string {
		v, _ := record.get(key)
		if v.kind != text && v.kind != number {
			return ""
		}
		return v.text
	}
	name := get("name")
	label := name
	if label == "" {
		label = fmt.Sprintf("record %d", place)
	}
	if im.count[name]++; im.count[name] > 1 && name != "" {
		return // another instance
	}
	if v, ok := record.get("pmx_module"); ok && v.text == "true" {
		im.note("%s: left out: a module of PM2's", label)
		return
	}
	d := &draft{place: label}
	kept := value{kind: object}
	vars, _ := record.get("env")
	for _, m := range record.members {
		i := im.index.find(m.key)
		if i < 0 || im.index.list[i].set == nil || slices.Contains(notCarried, im.index.list[i].name) {
			continue
		}
		if _, variable := vars.get(m.key); variable && m.key != "args" && m.key != "node_args" && m.key != "namespace" {
			continue // each variable stands in the record once more
		}
		kept.members = append(kept.members, m)
	}
	problems, _ := d.read(kept, im.index)
	for _, p := range problems {
		im.note("%s: %s is not honoured: %s", label, p.Field, p.Message)
	}
	env, err := envOf(vars)
	if err != nil && vars.kind != null {
		im.note("%s: env is not honoured: %v", label, err)
	}
	o := &d.StartOptions
	o.Target, o.Name, o.Cwd = get("pm_exec_path"), name, get("pm_cwd")
	o.Dir, o.CPUs, o.lookups = im.options.Dir, im.options.CPUs, im.options.lookups
	o.Environ = append(slices.Clone(im.options.Environ), pairs(env)...)
	o.Environ = append(o.Environ, "PATH="+pathOf(im.options.Environ))
	im.mode(o, get("exec_mode"))
	im.logs(o, label, get)
	if uid := get("uid"); uid != "" {
		o.User = uid
	}
	if get("status") == "stopped" {
		o.Restart.NoAutostart = true
	}
	if o.Target == "" {
		im.note("%s: left out: the record has no pm_exec_path", label)
		return
	}
	o.Env = own(env, im.options.Environ)
	spec, warnings, err := FromArgs(ctx, *o)
	if err != nil {
		im.note("%s: left out: %v", label, err)
		return
	}
	for _, w := range warnings {
		im.note("%s: %s", label, w)
	}
	im.specs = append(im.specs, spec)
}

// mode takes over fork or cluster; the count of instances is that of the records.
func (im *importer) mode(o *StartOptions, mode string) {
	if o.ForkMode = !strings.HasPrefix(mode, "cluster"); !o.ForkMode {
		o.Instances = "1"
	}
}

var idSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`-[0-9]+(\.[^./]*)?$`) })

// logs takes over log files that the user chose. PM2's own names give way to ours.
func (im *importer) logs(o *StartOptions, label string, get func(string) string) {
	for _, f := range []struct {
		key  string
		into *string
	}{{"pm_out_log_path", &o.Log.Out}, {"pm_err_log_path", &o.Log.Err}, {"pm_log_path", &o.Log.Both}} {
		path := get(f.key)
		switch {
		case path == "":
		case strings.Contains(path, "/.pm2/logs/"):
			im.note("%s: its log files are in Paceline's home from now on, not in %s", label, filepath.Dir(path))
		default:
			if !o.Log.Merge {
				path = idSuffix().ReplaceAllString(path, "$1")
			}
			*f.into = path
		}
	}
}

func pairs(env map[string]string) []string {
	var out []string
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// shellNames are variables that every shell sets anew.
var shellNames = []string{"PWD", "OLDPWD", "SHLVL", "_", "TERM", "COLUMNS", "LINES", "SHELL", "LS_COLORS", "PM2_HOME", "PM2_USAGE", "unique_id"}

// own returns those variables of an app that the caller's environment has not, or has
// otherwise. PM2 does not tell what a shell said and what an app file did.
func own(env map[string]string, environ []string) map[string]string {
	shell := map[string]string{}
	setEnv(shell, environ)
	out := map[string]string{}
	for k, v := range env {
		if now, has := shell[k]; has && now == v || slices.Contains(shellNames, k) || slices.Contains(pm2Fields, k) ||
			slices.Contains(withheld, k) || strings.HasPrefix(k, "SSH_") || strings.HasPrefix(k, "XDG_") || strings.HasPrefix(k, "PACELINE_") ||
			has && (k == "PATH" || k == "HOME" || k == "USER" || k == "LOGNAME" || k == "LANG" || k == "MAIL") {
			continue
		}
		out[k] = v
	}
	return out
}
