package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
	"paceline/internal/probe"
)

func (c *cli) checkCommand() *cobra.Command {
	var o ecosystem.StartOptions
	k := check{cli: c, phase: checkPhase, limit: startLimit, load: probe.Small()}
	cmd := &cobra.Command{
		Use:   "check target|script [-- args...]",
		Short: "Tell what an app does that costs requests on a reload",
		Long: `check starts a copy of an app, or of a script that is no app yet, on a port of its
own on 127.0.0.1, sends it a small load, reloads it once meanwhile, and tells what
the program itself does that costs requests, with the remedy in its language. It
takes some ten seconds. The app is not touched, and the copy is deleted at the end;
but it runs with the app's environment, so it uses the same databases and files.

It exits with 1 if something was found. What a request does in its usual case shows
only with a path that does it: --path.`,
		Example: `  pace check api
  pace check api --path /slow
  pace check server.js -- --verbose
  pace check "gunicorn app:app" --kill-signal SIGTERM`,
		Args: atLeast(1, "what to check: an app that exists, a script, a program or a command line"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			apps, _ := c.completeApps(cmd, args, word)
			return apps, cobra.ShellCompDirectiveDefault // and files
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir, o.Environ, o.CPUs = c.Dir, c.Environ, c.CPUs
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args, o.Args = args[:at], args[at:]
			}
			if len(args) != 1 {
				return errors.New(`name one thing to check; what is for the program stands after "--"`)
			}
			o.Target = args[0]
			return k.command(cmd.Context(), o, cmd.Flags())
		},
	}
	cmd.Flags().StringVar(&k.path, "path", "/", "`path` that is requested")
	programFlags(cmd.Flags(), &o)
	stopFlags(cmd.Flags(), &o)
	return cmd
}

// Times of a check.
const (
	checkPhase = 3 * time.Second // of load, before the reload and after it
	// startLimit is how long the copy may take to listen: longer than any app
	// should, so that the check can tell how long it took.
	startLimit = 15 * time.Second
)

// check is one execution of the command.
type check struct {
	*cli
	path  string
	phase time.Duration
	limit time.Duration
	load  probe.Load
}

func (k *check) command(ctx context.Context, o ecosystem.StartOptions, flags *pflag.FlagSet) error {
	if !strings.HasPrefix(k.path, "/") || strings.ContainsFunc(k.path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("--path %q is not a path such as /slow", k.path)
	}
	spec, err := k.spec(ctx, o, flags)
	if err != nil {
		return err
	}
	if v := k.client.DaemonVersion(); v != "" && v != k.Version {
		return fmt.Errorf("the daemon runs %s, and may not know how to move a copy to a port of its own; `pace update` makes it %s", v, k.Version)
	}
	f, err := k.gather(ctx, &spec)
	if err != nil {
		return err
	}
	f.limit = max(k.limit, time.Duration(spec.ListenTimeout))
	findings := judge(f)
	k.report(f, findings)
	if len(findings) > 0 {
		return errQuiet
	}
	return nil
}

// spec finds what is to be checked: an app, or what start would make of it.
func (k *check) spec(ctx context.Context, o ecosystem.StartOptions, flags *pflag.FlagSet) (app.Spec, error) {
	if isSelector(o.Target) || k.nameLike(o.Target) {
		apps, err := k.client.Apps(ctx, api.AppsQuery{Targets: []string{o.Target}, Env: true})
		e, refused := errors.AsType[*api.Error](err)
		switch {
		case refused && !isSelector(o.Target) && (e.Code == api.CodeNotFound || e.Code == api.CodeInvalid):
		case err != nil:
			return app.Spec{}, err
		case len(apps) > 1:
			return app.Spec{}, fmt.Errorf("%s means %d apps; check one at a time", o.Target, len(apps))
		case len(apps) == 1:
			return k.known(&apps[0], slices.DeleteFunc(given(flags), func(name string) bool { return name == "--path" }), o.Args)
		}
	}
	if ecosystem.IsFile(o.Target) {
		f, err := k.cli.load(ctx, o.Target, ecosystem.StartOptions{}, fileOptions{})
		if err != nil {
			return app.Spec{}, err
		}
		if len(f.Apps) != 1 {
			return app.Spec{}, fmt.Errorf("%s has %d apps; start them and check one by its name", o.Target, len(f.Apps))
		}
		return f.Apps[0], nil
	}
	spec, warnings, err := ecosystem.FromArgs(ctx, o)
	for _, w := range warnings {
		k.warn(w)
	}
	return spec, err
}

// known is the spec of an app that exists, unless its copy would harm it.
func (k *check) known(a *api.AppInfo, options, args []string) (app.Spec, error) {
	if len(args) > 0 {
		options = append(options, "--")
	}
	if len(options) > 0 {
		return app.Spec{}, fmt.Errorf("%s exists, and is checked as it is configured, without %s", a.Spec.Name, strings.Join(options, ", "))
	}
	for i := range a.Instances {
		for _, port := range a.Instances[i].Ports {
			if s, err := app.ParseSocket(port); err == nil && s.Network == "unix" && !ownSocket(&a.Spec, s) {
				return app.Spec{}, fmt.Errorf("%s listens on %s, which a copy would take away from it; stop it for the check, or start it with --socket %s",
					a.Spec.Name, s.Path, s.Path)
			}
		}
	}
	return a.Spec, nil
}

// ownSocket tells whether Paceline opens s for the app, so that the copy gets
// another one.
func ownSocket(spec *app.Spec, s app.Socket) bool {
	return slices.ContainsFunc(spec.Sockets, func(text string) bool {
		own, err := app.ParseSocket(text)
		return err == nil && own.Address() == s.Address()
	})
}

// copyOf is spec for a copy that is in nobody's way, and may take as long as limit
// to listen.
func copyOf(spec *app.Spec, limit time.Duration) app.Spec {
	random := make([]byte, 3)
	rand.Read(random) // which never fails
	suffix := "-check-" + hex.EncodeToString(random)
	s := *spec
	name := s.Name
	for len(name)+len(suffix) > 128 { // as ValidName wants it, in whole letters
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	s.Name = name + suffix
	s.Mode, s.Balance, s.Instances = app.Fork, "", 1
	s.Remap = app.RemapLoopback
	s.NoAutorestart = true
	s.ListenTimeout = max(s.ListenTimeout, app.Duration(limit))
	s.OutFile, s.ErrFile, s.LogFile = os.DevNull, os.DevNull, ""
	s.Sockets = nil
	for i, text := range spec.Sockets {
		socket, err := app.ParseSocket(text)
		if err != nil { // not from a daemon
			continue
		}
		if socket.Network == "unix" {
			socket.Path = fmt.Sprintf("@pace%s-%d", suffix, i)
		} else {
			socket.Host, socket.Port = "127.0.0.1", 0
		}
		s.Sockets = append(s.Sockets, socket.String())
	}
	return s
}
