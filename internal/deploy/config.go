// Package deploy puts a git repository's state on servers, by the ssh and git
// programs of the user.
package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Config is one environment of an app file's "deploy" section, with PM2's keys.
type Config struct {
	User string `json:"user,omitempty"` // "" leaves it to ssh
	Host List   `json:"host"`           // one or several; localhost is this machine, without ssh
	Port Text   `json:"port,omitempty"`
	Key  string `json:"key,omitempty"` // file of the private key
	// SSHOptions are ssh's -o, e.g. "StrictHostKeyChecking=no".
	SSHOptions   List `json:"ssh_options,omitempty"`
	ForwardAgent bool `json:"forward-agent,omitempty"`
	NeedsTTY     bool `json:"needs_tty,omitempty"` // hooks need a terminal

	Repo string `json:"repo"`
	// Path is the folder on the server: absolute or "~/...".
	Path string `json:"path"`
	// Ref is what to check out: a branch, a tag or a commit. A branch of the
	// origin goes before a local one of that name.
	Ref   string `json:"ref"`
	Fetch string `json:"fetch,omitempty"` // "fast" gets the last five commits only

	Env map[string]Text `json:"env,omitempty"` // of the hooks and exec

	// The hooks are command lines of a shell. The first runs on this machine.
	PreDeployLocal string `json:"pre-deploy-local,omitempty"`
	PreSetup       string `json:"pre-setup,omitempty"`
	PostSetup      string `json:"post-setup,omitempty"`
	PreDeploy      string `json:"pre-deploy,omitempty"`
	// PostDeploy starts the app; "" means `pace startOrRestart FILE --env ENV`.
	PostDeploy string `json:"post-deploy,omitempty"`
}

// List is a text or an array of texts.
type List []string

// UnmarshalJSON takes both.
func (l *List) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = nil
		if one != "" {
			*l = List{one}
		}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return errors.New("want a text or a list of texts")
	}
	*l = many
	return nil
}

// Text is a text, a number or a truth value, kept as it is written.
type Text string

// UnmarshalJSON takes all three.
func (t *Text) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*t = Text(text)
		return nil
	}
	if strings.ContainsAny(string(b[:1]), "{[") {
		return errors.New("want a text or a number")
	}
	*t = Text(b)
	return nil
}

// Parse reads one environment of a "deploy" section and checks it. unknown are keys
// that mean nothing here.
func Parse(section []byte) (c Config, unknown []string, err error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(section, &keys); err != nil || keys == nil {
		return Config{}, nil, errors.New("want an object with host, repo, path and ref")
	}
	fields := reflect.ValueOf(&c).Elem()
	known := map[string]any{}
	for i := range fields.NumField() {
		key, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		known[key] = fields.Field(i).Addr().Interface()
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		into, ok := known[key]
		if !ok {
			unknown = append(unknown, key)
			continue
		}
		if err := json.Unmarshal(keys[key], into); err != nil {
			if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				err = fmt.Errorf("want a %s, not a %s", e.Type, e.Value)
			}
			return Config{}, nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return c, unknown, c.Validate()
}

// Validate reports the first thing that is wrong.
func (c *Config) Validate() error {
	if len(c.Host) == 0 {
		return errors.New("host is missing")
	}
	for _, f := range []struct{ key, value string }{{"repo", c.Repo}, {"path", c.Path}, {"ref", c.Ref}} {
		if f.value == "" {
			return fmt.Errorf("%s is missing", f.key)
		}
		if strings.HasPrefix(f.value, "-") || strings.ContainsFunc(f.value, control) {
			return fmt.Errorf("%s: %q cannot be one", f.key, f.value)
		}
	}
	for _, host := range c.Host {
		if !word(host) {
			return fmt.Errorf("host: %q cannot be one", host)
		}
	}
	if c.User != "" && (!word(c.User) || strings.Contains(c.User, "@")) {
		return fmt.Errorf("user: %q cannot be one", c.User)
	}
	if port, err := strconv.Atoi(string(c.Port)); c.Port != "" && (err != nil || port < 1 || port > 65535) {
		return fmt.Errorf("port: %q is not between 1 and 65535", c.Port)
	}
	if !strings.HasPrefix(c.Path, "/") && !strings.HasPrefix(c.Path, "~/") {
		return fmt.Errorf("path: %q is neither absolute nor below ~/", c.Path)
	}
	if err := validRef(c.Ref); err != nil {
		return err
	}
	if c.Fetch != "" && c.Fetch != "fast" {
		return fmt.Errorf("fetch: %q is not fast", c.Fetch)
	}
	for key, value := range c.Env {
		if !variable(key) || strings.ContainsRune(string(value), 0) {
			return fmt.Errorf("env: %q cannot be a variable", key)
		}
	}
	for _, text := range append([]string{c.Key, c.PreDeployLocal, c.PreSetup, c.PostSetup, c.PreDeploy, c.PostDeploy}, c.SSHOptions...) {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("%q holds a NUL byte", text)
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// word tells whether text can stand on ssh's command line as a name.
func word(text string) bool {
	return text != "" && text[0] != '-' && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// validRef refuses what git would read as an option or as a range.
func validRef(ref string) error {
	if !word(ref) || strings.Contains(ref, "..") || strings.ContainsAny(ref, `:?*[\`) {
		return fmt.Errorf("ref: %q is not a branch, a tag or a commit", ref)
	}
	return nil
}

func variable(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
