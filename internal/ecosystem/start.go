package ecosystem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// FromArgs returns the validated spec of the app that o describes, with app's
// defaults, and warnings for the user: one line each, without a full stop. It
// reads files and may run `node --version`, which ctx bounds. Errors are one
// line that names what is wrong and what would do.
func FromArgs(ctx context.Context, o StartOptions) (app.Spec, []string, error) {
	if o.lookups == nil {
		o.lookups = newLookups()
	}
	s := start{options: &o, spec: app.Defaults()}
	if err := s.resolve(ctx); err != nil {
		return app.Spec{}, nil, err
	}
	if err := s.spec.Validate(); err != nil {
		return app.Spec{}, nil, err
	}
	return s.spec, s.warnings, nil
}

// start is one app on its way from words to a spec.
type start struct {
	options  *StartOptions
	places   places
	extra    []string // the words of --interpreter-args
	spec     app.Spec
	name     string // what the app is called unless --name is given
	warnings []string
}

func (s *start) warn(format string, a ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, a...))
}

func (s *start) resolve(ctx context.Context) error {
	o, spec := s.options, &s.spec
	if err := utf8Words(slices.Concat([]string{o.Target, o.Dir, o.Cwd, o.Name}, o.Args, o.Sockets)); err != nil {
		return err
	}
	if o.Name != "" {
		if err := app.ValidName(o.Name); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
	}
	if err := policy(o, spec); err != nil {
		return err
	}
	words, _, err := splitWords(o.InterpreterArgs)
	if err != nil {
		return flagError("--interpreter-args", o.InterpreterArgs, "words with every quote closed")
	}
	s.extra = texts(words)

	var skipped []string
	spec.Env, skipped = inherit(o.Environ, o.FilterEnv)
	if len(skipped) > 0 {
		s.warn("left out of the environment, because not UTF-8: %s", strings.Join(skipped, ", "))
	}
	if s.places, err = newPlaces(o.Dir, o.Cwd, pathOf(o.Environ)); err != nil {
		return err
	}
	s.places.lookups = o.lookups
	spec.Cwd = s.places.cwd
	spec.Env["PWD"] = s.places.cwd
	maps.Copy(spec.Env, o.Env)
	spec.EnvOwn = slices.Sorted(maps.Keys(o.Env))
	if err := s.runAs(); err != nil {
		return err
	}
	if err := logFiles(o, s.places.cwd, spec); err != nil {
		return err
	}
	if err := sockets(o, s.places.cwd, spec); err != nil {
		return err
	}
	if err := watch(o, s.places.cwd, spec); err != nil {
		return err
	}
	if err := envFiles(o, s.places.cwd, spec); err != nil {
		return err
	}
	if err := s.target(ctx); err != nil {
		return err
	}
	if spec.Name = s.name; o.Name != "" {
		spec.Name = o.Name
	}
	if o.Log.Default && spec.LogFile == "" {
		if o.Log.Dir == "" {
			return errors.New("--log needs the name of a file")
		}
		spec.LogFile = defaultLog(o.Log.Dir, spec.Name)
	}
	s.mode()
	return nil
}

// target resolves what is to run: a file, a program, or a command line.
func (s *start) target(ctx context.Context) error {
	text := s.options.Target
	if strings.TrimSpace(text) == "" {
		return errors.New("nothing to start: name a script, a program or a command line")
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%q holds a NUL byte", text)
	}
	file, err := s.places.target(text)
	if err == nil {
		return s.run(ctx, file, s.options.Args)
	}
	if _, none := errors.AsType[*missing](err); none && strings.ContainsAny(text, " \t\n") {
		return s.commandLine(ctx, text)
	}
	return err
}

// shellWords are words of the shell's own: a line that begins with one needs it.
var shellWords = []string{
	"cd", ".", "source", "export", "eval", "ulimit", "umask", "set", "unset", "trap", "command", "if", "for",
	"while", "until", "case", "wait", "read", "alias", "time", ":", "pushd", "shopt", "type",
}

// commandLine resolves a target such as "node server.js --port 80". Without
// anything that needs a shell its program is run directly, so that signals and
// Node's channel reach it.
func (s *start) commandLine(ctx context.Context, text string) error {
	words, shell, err := splitWords(text)
	if err != nil {
		return fmt.Errorf("command line %q: %w", text, err)
	}
	line := words
	var env []string
	for len(line) > 0 && (line[0].assign || line[0].text == "exec" || line[0].text == "env") {
		if line[0].assign {
			env = append(env, line[0].text)
		}
		line = line[1:]
	}
	switch {
	case shell || len(line) > 0 && slices.Contains(shellWords, line[0].text):
		return s.shell(text, words)
	case len(line) == 0:
		return fmt.Errorf("command line %q has no program", text)
	}
	if strings.HasPrefix(line[0].text, "-") { // flags of env or exec
		env, line = nil, words
	}
	s.own(env)
	// As in a shell PATH comes first; unlike there, "server.js --port 80" will do.
	file, ok := s.places.program(line[0].text)
	if !ok {
		if file, err = s.places.file(line[0].text); err != nil {
			return fmt.Errorf("command line %q: %w", text, err)
		}
	}
	return s.run(ctx, file, append(texts(line[1:]), s.options.Args...))
}

// own sets variables that belong to the app itself.
func (s *start) own(assignments []string) {
	setEnv(s.spec.Env, assignments)
	for _, kv := range assignments {
		if name, _, ok := strings.Cut(kv, "="); ok && !slices.Contains(s.spec.EnvOwn, name) {
			s.spec.EnvOwn = append(s.spec.EnvOwn, name)
		}
	}
	slices.Sort(s.spec.EnvOwn)
}

// shell resolves a command line that only a shell understands.
func (s *start) shell(text string, words []word) error {
	sh := "/bin/sh"
	if name := s.options.Interpreter; name != "" {
		prog, ok := s.places.program(name)
		if !ok || !slices.Contains([]string{"sh", "bash", "dash", "zsh", "ksh"}, filepath.Base(prog)) {
			return fmt.Errorf("--interpreter %s cannot run the command line %q, which needs a shell", name, text)
		}
		sh = prog
	}
	if len(s.extra) > 0 {
		return fmt.Errorf("--interpreter-args %q: a command line for the shell has no interpreter; write them into it", s.options.InterpreterArgs)
	}
	s.name = s.places.shellName(words)
	s.spec.Wrapper = wrapperIn(words)
	for _, arg := range s.options.Args {
		text += " " + quoteWord(arg)
	}
	s.spec.Exec, s.spec.Args = sh, []string{"-c", text}
	return nil
}

// run resolves how file is run with args.
func (s *start) run(ctx context.Context, file string, args []string) error {
	spec, chosen := &s.spec, s.options.Interpreter
	if chosen == "" && isNode(file) && runnable(file) {
		return s.node(ctx, file, args)
	}
	var r runner
	var err error
	if chosen != "" {
		r, err = s.places.chosen(file, chosen, s.extra)
	} else {
		r, err = s.places.guess(file, s.extra)
	}
	if err != nil {
		return err
	}
	if isTypeScript(file) && r.interpreter != "" && isNode(r.interpreter) {
		if r, err = s.typeScript(ctx, file, r); err != nil {
			return err
		}
	}
	r.apply(spec, file)
	spec.Args = args
	s.own(r.env)
	if isPython(r.language) || isPython(filepath.Base(file)) {
		if _, set := spec.Env["PYTHONUNBUFFERED"]; !set {
			spec.Env["PYTHONUNBUFFERED"] = "1"
		}
	}
	spec.Wrapper = wrapperOf(file, args)
	if spec.Wrapper == "" && r.interpreter == "" {
		spec.Wrapper = wrapperOf(r.language, args) // "#!/usr/bin/env tsx"
	}
	if spec.Wrapper == "" && r.interpreter != "" {
		spec.Wrapper = wrapperOf(r.interpreter, append(slices.Clone(r.args), file))
	}
	switch {
	case r.interpreter != "" && isNode(r.interpreter):
		s.nodeRuntime(parseNode(r.args))
	case r.interpreter == "" && usesSDK(file):
		spec.Runtime = app.RuntimeSDK
	}
	s.name = nameOf(file)
	if r.interpreter == "" {
		s.name = s.places.lineName(file, args)
	}
	return nil
}

// node resolves a command line of node itself: its flags stand before the script.
func (s *start) node(ctx context.Context, prog string, args []string) error {
	spec := &s.spec
	l := parseNode(append(slices.Clone(s.extra), args...))
	if l.mode != "" {
		spec.Exec, spec.Interpreter = prog, prog
		spec.InterpreterArgs, spec.Args = s.extra, args
		s.nodeRuntime(l)
		s.name = s.places.lineName(prog, append(slices.Clone(l.rest), l.flags...))
		return nil
	}
	if len(l.rest) == 0 {
		return errors.New("node needs a script to run; e.g. pace start server.js")
	}
	script, err := s.places.module(l.rest[0])
	if err != nil {
		return err
	}
	r := runner{interpreter: prog, args: l.flags}
	if isTypeScript(script) {
		if r, err = s.typeScript(ctx, script, r); err != nil {
			return err
		}
	}
	r.apply(spec, script)
	spec.Args = l.rest[1:]
	spec.Wrapper = wrapperOf(script, spec.Args)
	s.nodeRuntime(l)
	s.name = nameOf(l.rest[0])
	if base := filepath.Base(l.rest[0]); base == "." || base == ".." {
		s.name = nameOf(script)
	}
	return nil
}

// nodeRuntime marks the app as Node's, unless its code is not what node runs.
func (s *start) nodeRuntime(l nodeLine) {
	switch {
	case s.spec.Wrapper != "":
	case l.mode != "":
		s.spec.Wrapper = "node " + l.mode
	default:
		s.spec.Runtime = app.RuntimeNode
	}
}

// typeScript checks that r, which is node, can run the script: if not, and if
// node was only our guess, bun does.
func (s *start) typeScript(ctx context.Context, script string, r runner) (runner, error) {
	if len(r.args) > 0 || s.spec.Env["NODE_OPTIONS"] != "" {
		return r, nil // may be a loader
	}
	// 5 s: a version manager's shim may be slow, but no start should hang on it
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, known := s.options.lookups.versions[r.interpreter]
	if !known {
		cmd := exec.CommandContext(ctx, r.interpreter, "--version")
		cmd.Dir = s.places.cwd
		cmd.Env = s.options.Environ
		out, err := cmd.Output()
		v = version{string(out), err}
		s.options.lookups.versions[r.interpreter] = v
	}
	if ctx.Err() != nil {
		return r, fmt.Errorf("ask %s for its version: %w", r.interpreter, ctx.Err())
	}
	if v.err != nil {
		return r, nil // the app's own start will show what is wrong with it
	}
	if err := checkTypeScript(script, v.text); err != nil {
		if bun, ok := s.places.program("bun"); ok && r.guessed {
			return runner{interpreter: bun, language: "bun"}, nil
		}
		return r, err
	}
	return r, nil
}

// mode decides between fork and cluster, and says what the flags cannot do here.
// Whatever the program is, instances that were asked for share what they listen
// on, also if there is just one so far: scale may add others.
func (s *start) mode() {
	o, spec := s.options, &s.spec
	if o.Instances != "" && !o.ForkMode && spec.Balance != app.None {
		spec.Mode = app.Cluster
	}
	if o.ForkMode && spec.Instances > 1 && spec.Balance != "" && spec.Balance != app.None {
		s.warn("--balance %s: with -x each instance is on its own, so there is nothing to deal", spec.Balance)
	}
	if o.ForkMode && spec.Instances > 1 {
		spec.Balance = app.None
	}
	if spec.Wrapper != "" {
		if spec.WaitReady {
			s.warn("%s runs the program as its own child, so its 'ready' message does not arrive; %s",
				spec.Wrapper, remedy(spec, o.Instances))
		}
		return
	}
	if spec.Runtime != "" {
		return
	}
	if spec.WaitReady {
		s.warn("--wait-ready: only a Node program has the channel on which to say 'ready'")
	}
	if spec.ShutdownWithMessage {
		s.warn("--shutdown-with-message: only a Node program has the channel for it; others get %s", spec.KillSignal)
	}
}

// module finds the script that `node name` would run: the file, or the name
// with an extension or as a folder, as require does. Node takes it from there.
func (p places) module(name string) (string, error) {
	if prog, err := p.file(name); err == nil {
		return prog, nil
	}
	file := join(p.cwd, name)
	for _, suffix := range []string{".js", ".json", ".node", "/package.json", "/index.js"} {
		found := file + suffix
		if _, err := p.file(found); err != nil {
			continue
		}
		if strings.HasPrefix(suffix, "/") {
			return file, nil
		}
		return found, nil
	}
	return "", fmt.Errorf("no script named %q in %s", name, p.cwd)
}

// utf8Words reports the first word that JSON could not carry unchanged.
func utf8Words(words []string) error {
	for _, w := range words {
		if !utf8.ValidString(w) {
			return fmt.Errorf("%q is not UTF-8", w)
		}
	}
	return nil
}
