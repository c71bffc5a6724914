package ecosystem

import (
	"fmt"
	"maps"
	"strings"

	"paceline/internal/serve"
)

// draft is one app of a file on its way to a spec.
type draft struct {
	StartOptions
	place     string // "app 3", until it has a name
	line      int
	prefix    string
	port      string
	env       map[string]string
	named     map[string]map[string]string // env_<name>
	appendEnv bool
	cluster   bool           // exec_mode
	lines     map[string]int // of the fields that are given, by their main names
	idle      []string       // keys that have no effect
	served    *serve.Options // the app is a server of files
}

// read takes the members of an app into the draft. Problems and warnings name it.
func (d *draft) read(v value, x *fieldIndex) (problems, warnings []Problem) {
	d.lines = map[string]int{}
	chosen := map[int]member{} // by the number of the field
	for _, m := range v.members {
		if name, ok := envKey(m.key, x); ok {
			env, err := envOf(m.value)
			if err != nil && m.value.kind != null {
				problems = append(problems, Problem{Line: m.line, Field: m.key, Message: err.Error()})
			}
			if d.named == nil {
				d.named = map[string]map[string]string{}
			}
			d.named[name] = env
			continue
		}
		i := x.find(m.key)
		if i < 0 {
			warnings = append(warnings, Problem{Line: m.line, Message: unknownKey(m.key, x.near(m.key))})
			continue
		}
		f := &x.list[i]
		if before, twice := chosen[i]; twice && !before.value.empty() &&
			(m.value.empty() || f.rank(before.key) < f.rank(m.key)) {
			continue // the main name holds, unless it says nothing
		}
		chosen[i] = m
	}
	for i := range x.list { // in the table's order, whatever that of the file
		m, given := chosen[i]
		f := &x.list[i]
		switch {
		case !given:
		case f.set == nil:
			d.idle = append(d.idle, m.key)
		case m.value.kind == null:
		default:
			d.lines[f.name] = m.line
			err := f.set(d, m.value)
			if err == nil && len(f.words) > 0 && m.value.kind == text && m.value.text != "" {
				err = oneOf(f.words, m.value)
			}
			if err != nil {
				problems = append(problems, Problem{Line: m.line, Field: m.key, Message: err.Error()})
			}
		}
	}
	return problems, warnings
}

func oneOf(words []string, v value) error {
	for _, w := range words {
		if strings.EqualFold(w, v.text) {
			return nil
		}
	}
	return wrongKind(strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1], v)
}

// envKey tells env_<name> from fields that begin like it.
func envKey(key string, x *fieldIndex) (name string, ok bool) {
	name, ok = strings.CutPrefix(key, "env_")
	return name, ok && name != "" && x.find(key) < 0
}

func unknownKey(key, near string) string {
	if near != "" {
		return fmt.Sprintf("%s is not known; did you mean %s?", key, near)
	}
	return key + " is not known and has no effect"
}

// finish brings what the fields say together: names, variables, mode. deploy are the
// variables of deploy.<env>.
func (d *draft) finish(envName string, deploy map[string]string) {
	if d.cluster && d.Instances == "" {
		d.Instances = "1"
	}
	own := map[string]string{}
	maps.Copy(own, deploy)
	maps.Copy(own, d.env)
	if envName != "" {
		maps.Copy(own, d.named[envName])
		d.EnvName = envName
	}
	if _, set := own["PORT"]; !set && d.port != "" {
		own["PORT"] = d.port
	}
	d.Env = own
	d.Name = d.fullName(envName)
}

// fullName is the app's name with what goes before and behind it. Without a name it
// is the script's, as the command line has it.
func (d *draft) fullName(envName string) string {
	name := d.Name
	if name == "" && d.prefix == "" && (!d.appendEnv || envName == "") {
		return ""
	}
	if name == "" {
		name = d.guessName()
	}
	if d.prefix != "" {
		name = d.prefix + ":" + name
	}
	if d.appendEnv && envName != "" {
		name += "-" + envName
	}
	return name
}

// guessName is what the app will be called if nothing can be looked at: after its script.
func (d *draft) guessName() string {
	target := strings.TrimSpace(d.Target)
	if strings.ContainsAny(target, " \t") {
		if words, _, err := splitWords(target); err == nil && len(words) > 0 {
			target = words[0].text
		}
	}
	return nameOf(target)
}

// label names the app in messages.
func (d *draft) label() string {
	if d.Name != "" {
		return d.Name
	}
	if d.Target != "" {
		return d.guessName()
	}
	return d.place
}
