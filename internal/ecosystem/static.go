package ecosystem

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/app"
	"paceline/internal/serve"
)

// addStatic takes one entry of `static`: a folder that is served.
func (l *loader) addStatic(d *draft, v value) {
	o := &serve.Options{}
	name := ""
	into := func(s *string) func(value) error {
		return func(v value) (err error) { *s, err = textOf(v); return err }
	}
	truthInto := func(b *bool) func(value) error {
		return func(v value) error {
			is, err := truth(v)
			*b = *b || is
			return err
		}
	}
	err := keysOf(v, map[string]func(value) error{
		"path": into(&o.Path), "host": into(&o.Host), "name": into(&name), "homepage": into(&o.Homepage),
		"spa": truthInto(&o.SPA), "ftp": truthInto(&o.FTP), "directory": truthInto(&o.FTP),
		"port": func(v value) (err error) { o.Port, err = serve.ParsePort(v.text); return err },
		"basic_auth": func(v value) error {
			return keysOf(v, map[string]func(value) error{"username": into(&o.Username), "password": into(&o.Password)})
		},
		"monitor": func(value) error { return nil },
	})
	if d.Name = name; name == "" {
		d.Name = o.Name()
	}
	d.served = o
	d.named = map[string]map[string]string{}
	var problems []Problem
	if err != nil {
		problems = []Problem{{Line: v.line, Message: err.Error()}}
	}
	d.Target = "serve"
	l.finish(d, problems, nil)
}

// asServer makes an app whose script is "serve" the file server, as PM2 does, unless
// there is a file of that name. Its options are the variables PM2_SERVE_*.
func (d *draft) asServer() error {
	if d.served != nil || d.Target != "serve" {
		return nil
	}
	dir := d.Cwd
	if dir = join(d.Dir, dir); readableFile(join(dir, "serve")) == nil {
		return nil
	}
	environ := map[string]string{}
	setEnv(environ, d.Environ)
	maps.Copy(environ, d.Env)
	o, err := serve.FromEnviron(func(name string) string { return environ[name] })
	if err != nil {
		return err
	}
	d.served = &o
	if d.Name == "" {
		d.Name = o.Name()
	}
	return nil
}

// serving puts the file server into the spec of an app that is one.
func (l *loader) serving(d *draft, spec *app.Spec) error {
	if d.served == nil {
		return nil
	}
	if err := d.served.Apply(spec, d.Target); err != nil {
		return err
	}
	if fi, err := os.Stat(join(spec.Cwd, d.served.Path)); err != nil || !fi.IsDir() {
		return errors.New("path " + strconv.Quote(d.served.Path) + " is not a folder")
	}
	spec.EnvOwn = nil
	for name := range spec.Env {
		if _, own := d.Env[name]; own || strings.HasPrefix(name, "PM2_SERVE_") {
			spec.EnvOwn = append(spec.EnvOwn, name)
		}
	}
	slices.Sort(spec.EnvOwn)
	return spec.Validate()
}

// program is the path of pace itself.
func (l *loader) program() (string, error) {
	if l.options.Exe != "" {
		return l.options.Exe, nil
	}
	return os.Executable()
}
