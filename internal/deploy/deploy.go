package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Options are one run of a command.
type Options struct {
	Command string   // see Commands; "" means update
	Args    []string // its own words
	Force   bool     // also with local changes that are not pushed

	File, Env string // the app file and the environment, for the default post-deploy

	Dir            string   // of the local repository
	Environ        []string // "KEY=value"; its PATH finds ssh and git
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Commands lists what Run knows, for help and errors.
func Commands() []string {
	return []string{"setup", "update", "revert", "curr", "prev", "exec", "list", "ref", "console"}
}

// aliases are PM2's other words.
var aliases = map[string]string{"": "update", "deploy": "update", "default": "update", "current": "curr", "previous": "prev", "run": "exec"}

// Run executes a command on each host of c in turn and stops at the first where it
// fails. It blocks until then; ctx ends it, but what runs on a server may go on.
func Run(ctx context.Context, c Config, o Options) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.PostDeploy == "" {
		c.PostDeploy = "pace startOrRestart " + quote(o.File) + " --env " + quote(o.Env)
	}
	if name, ok := aliases[o.Command]; ok {
		o.Command = name
	}
	script, changes, err := c.script(o)
	if err != nil {
		return err
	}
	if changes && !o.Force {
		if err := clean(ctx, o); err != nil {
			return err
		}
	}
	if changes && c.PreDeployLocal != "" {
		if err := c.local(ctx, o, c.head()+hook("pre-deploy-local", c.PreDeployLocal)); err != nil {
			return fmt.Errorf("on this machine: %w", err)
		}
	}
	for i, host := range c.Host {
		if len(c.Host) > 1 {
			if _, err := fmt.Fprintf(o.Stdout, "--> host %s\n", host); err != nil {
				return err
			}
		}
		if err := c.on(ctx, host, o, script); err != nil {
			if left := len(c.Host) - i - 1; left > 0 {
				return fmt.Errorf("%s on %s: %w; left out: %s", o.Command, host, err, strings.Join(c.Host[i+1:], ", "))
			}
			return fmt.Errorf("%s on %s: %w", o.Command, host, err)
		}
	}
	return nil
}

// script is what a command runs on each host. changes: it deploys what is in the
// repository, so local work that is not there would be missing.
func (c *Config) script(o Options) (script string, changes bool, err error) {
	if most := map[string]int{"revert": 1, "ref": 1, "exec": 1 << 20}[o.Command]; len(o.Args) > most {
		return "", false, fmt.Errorf("%s: %q is one word too many", o.Command, o.Args[most])
	}
	switch o.Command {
	case "setup":
		return c.setup(), false, nil
	case "update":
		return c.update(c.Ref, ""), true, nil
	case "ref":
		if len(o.Args) == 0 {
			return "", false, errors.New("ref: name a branch, a tag or a commit")
		}
		return c.update(o.Args[0], ""), true, validRef(o.Args[0])
	case "revert":
		n := 1
		if len(o.Args) > 0 {
			if n, err = strconv.Atoi(o.Args[0]); err != nil || n < 1 {
				return "", false, fmt.Errorf("revert: %q is not a number from 1", o.Args[0])
			}
		}
		return c.revert(n), false, nil
	case "curr":
		return c.show(0), false, nil
	case "prev":
		return c.show(1), false, nil
	case "list":
		return c.list(), false, nil
	case "exec":
		if len(o.Args) == 0 {
			return "", false, errors.New("exec: say what to run")
		}
		line := strings.Join(o.Args, " ")
		if strings.ContainsRune(line, 0) {
			return "", false, errors.New("exec: a NUL byte cannot be run")
		}
		return c.exec(line), false, nil
	case "console":
		return c.console(), false, nil
	}
	return "", false, fmt.Errorf("unknown command %q; there are %s", o.Command, strings.Join(Commands(), ", "))
}

// on runs a script on a host.
func (c *Config) on(ctx context.Context, host string, o Options, script string) error {
	if host == "localhost" {
		return c.local(ctx, o, script)
	}
	return o.run(ctx, append([]string{"ssh"}, c.ssh(host, o.Command, script)...)...)
}

func (c *Config) local(ctx context.Context, o Options, script string) error {
	return o.run(ctx, "sh", "-c", script)
}

// ssh is the command line of ssh. The server hands the last word to the user's shell,
// whichever that is; it only has to know single quotes.
func (c *Config) ssh(host, command, script string) []string {
	var args []string
	for _, option := range c.SSHOptions {
		args = append(args, "-o", option)
	}
	if c.Port != "" {
		args = append(args, "-p", string(c.Port))
	}
	if c.Key != "" {
		args = append(args, "-i", c.Key)
	}
	if c.ForwardAgent {
		args = append(args, "-A")
	}
	if c.NeedsTTY || command == "console" {
		args = append(args, "-t")
	}
	if c.User != "" {
		host = c.User + "@" + host
	}
	return append(args, "--", host, "exec sh -c "+quote(script))
}

// clean refuses to deploy past local work that is not in the repository.
func clean(ctx context.Context, o Options) error {
	git := func(args ...string) (string, error) {
		cmd, err := o.command(ctx, append([]string{"git"}, args...)...)
		if err != nil {
			return "", err
		}
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	inside, err := git("rev-parse", "--is-inside-work-tree")
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w; --force deploys without a look at local changes", err)
	}
	if err != nil || inside != "true" {
		return ctx.Err() // no repository here, so nothing that could be forgotten
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return fmt.Errorf("look for local changes: git status: %w", err)
	}
	if changed != "" {
		return errors.New("there are local changes that are not committed; commit and push them, or --force deploys without them")
	}
	remotes, err := git("remote")
	if err != nil {
		return fmt.Errorf("look for local changes: git remote: %w", err)
	}
	if remotes == "" {
		return nil
	}
	pushed, err := git("branch", "-r", "--contains", "HEAD")
	if err != nil {
		return fmt.Errorf("look for local changes: git branch: %w", err)
	}
	if pushed == "" {
		return errors.New("there are local commits that are not pushed; push them, or --force deploys without them")
	}
	return nil
}

// environ leaves out what would make git forget in which folder it is: a hook of git's
// has these variables.
func (o Options) environ() []string {
	return slices.DeleteFunc(slices.Clone(o.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}, name)
	})
}

// command is a program of the caller's PATH. Errors: exec.ErrNotFound.
func (o Options) command(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	path := ""
	for _, kv := range o.Environ {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file, err := exec.LookPath(filepath.Join(dir, argv[0]))
		if err != nil || !filepath.IsAbs(file) { // relative ones are a trap
			continue
		}
		cmd := exec.CommandContext(ctx, file, argv[1:]...)
		cmd.Dir, cmd.Env = o.Dir, o.environ()
		return cmd, nil
	}
	return nil, fmt.Errorf("%s is not on PATH: %w", argv[0], exec.ErrNotFound)
}

// run executes a command with the user's terminal.
func (o Options) run(ctx context.Context, argv ...string) error {
	cmd, err := o.command(ctx, argv...)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Stdin, o.Stdout, o.Stderr
	err = cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && argv[0] == "ssh" && e.ExitCode() == 255 {
		return errors.New("ssh could not connect, or was cut off; its message is above")
	}
	return err
}
