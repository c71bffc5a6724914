package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
	"paceline/internal/web"
)

// dashboard is one execution of web.
type dashboard struct {
	*cli
	options    web.Options
	newToken   bool
	foreground bool
}

func (c *cli) webCommand() *cobra.Command {
	d := &dashboard{cli: c}
	cmd := &cobra.Command{
		Use:     "web [stop]",
		Aliases: []string{"dashboard"},
		Short:   "Show all apps in a browser",
		Long: `web starts the dashboard, a page about all apps with live charts, logs, events and
actions, as an app called ` + web.AppName + `, and prints its address. "web stop" ends it.

The address holds a token, which a browser needs to get in. It is printed once, when
the token is made, and kept in web/token in Paceline's home; --new-token makes
another, and signs all browsers out. Scripts send it as a bearer, as Prometheus does
for /metrics.

It listens on ` + web.DefaultListen + `, for this machine alone. --listen has it elsewhere: then
always with TLS, by --cert and --key or a certificate of its own making, whose
fingerprint is printed, for comparing it with what the browser shows.`,
		Example: `  pace web
  pace web --listen 0.0.0.0:9615 --host ops.example.org
  pace web --listen :443 --cert cert.pem --key key.pem
  pace web stop`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "stop" {
				return fmt.Errorf("%q is not stop, the one word that it takes", args[len(args)-1])
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"stop"}, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return d.stop(cmd.Context())
			}
			return d.start(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.options.Listen, "listen", web.DefaultListen, "`address` to listen on: host:port, :port for all addresses, or a port")
	f.StringVar(&d.options.Cert, "cert", "", "PEM `file` with the certificate (default: one of its own making, if TLS is needed)")
	f.StringVar(&d.options.Key, "key", "", "PEM `file` with the certificate's key (default: that of the certificate of its own making)")
	f.StringArrayVar(&d.options.Names, "host", nil, "`name` by which browsers may call this machine; repeatable (default: its own, and the certificate's)")
	f.BoolVar(&d.newToken, "new-token", false, "make another token; who is signed in is signed out")
	f.BoolVar(&d.foreground, "foreground", false, "stay in the foreground, as no app")
	return cmd
}

// complete brings the options into the form that the dashboard takes.
func (d *dashboard) complete() error {
	o := &d.options
	o.Home = d.Home
	var err error
	if o.Listen, err = web.ParseListen(o.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	dir, err := d.folder()
	if err != nil {
		return err
	}
	for _, file := range []*string{&o.Cert, &o.Key} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
	return nil
}

func (d *dashboard) start(ctx context.Context) error {
	if err := d.complete(); err != nil {
		return err
	}
	o := d.options
	address, fingerprint, err := o.Address(ctx)
	if err != nil {
		return err
	}
	var spec app.Spec
	if !d.foreground {
		if spec, err = d.spec(ctx); err != nil {
			return err
		}
	}
	token, isNew, err := o.MakeToken(d.newToken)
	if err != nil {
		return err
	}
	if d.foreground {
		return web.Serve(ctx, o, d.Stderr, func(url, fingerprint string) {
			d.tellAddress(url, fingerprint, token)
			if err := d.out.Flush(); err != nil {
				d.errorf("write the output: %v", err)
			}
		})
	}
	running, err := d.running(ctx, spec)
	if err != nil {
		return err
	}
	if !running || isNew {
		reply, err := d.client.Start(ctx, api.StartRequest{Specs: []app.Spec{spec}, Force: true})
		if err := d.done(reply, err, func([]app.Status) {}); err != nil {
			return err
		}
	}
	d.tellAddress(address, fingerprint, token)
	return nil
}

// spec is the app that shows the dashboard.
func (d *dashboard) spec(ctx context.Context) (app.Spec, error) {
	if _, port, err := net.SplitHostPort(d.options.Listen); err == nil && port == "0" {
		return app.Spec{}, errors.New("--listen: port 0 is a different one at each start; name one, or add --foreground")
	}
	if _, err := d.client.Version(ctx); err != nil { // begins a daemon, and with it the home
		return app.Spec{}, err
	}
	spec, _, err := ecosystem.FromArgs(ctx, ecosystem.StartOptions{
		Target: d.Exe, Name: web.AppName, Dir: d.Home, Environ: d.Environ, CPUs: d.CPUs,
		FilterEnv: []string{"*"}, // it needs nothing of what the caller has
	})
	if err == nil {
		err = d.options.Apply(&spec, d.Exe)
	}
	return spec, err
}

// running tells whether the dashboard runs as it is wanted. An app of that name that
// is not the dashboard is somebody's.
func (d *dashboard) running(ctx context.Context, want app.Spec) (bool, error) {
	list, err := d.client.Apps(ctx, api.AppsQuery{})
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(list, func(a api.AppInfo) bool { return a.Spec.Name == web.AppName })
	if i < 0 {
		return false, nil
	}
	spec := list[i].Spec
	if len(spec.Args) == 0 || spec.Args[0] != web.Role {
		return false, fmt.Errorf("there is an app %s already, which is not the dashboard; delete it, or start it under another name", web.AppName)
	}
	online := slices.ContainsFunc(list[i].Instances, func(s app.Status) bool { return s.State == app.Online })
	return online && spec.Exec == want.Exec && slices.Equal(spec.Args, want.Args), nil
}

// tellAddress prints where the dashboard is; with the token, if it is new.
func (d *dashboard) tellAddress(address, fingerprint, token string) {
	if token != "" {
		d.say("dashboard at %s#token=%s", address, token)
		d.say("the address lets in whoever has it, and is shown this once; the token is kept in %s", d.options.TokenFile())
	} else {
		d.say("dashboard at %s", address)
		d.say("the token is in %s; --new-token makes another", d.options.TokenFile())
	}
	if fingerprint != "" {
		d.say("certificate SHA-256 %s", fingerprint)
	}
}

// stop ends the dashboard; the token stays.
func (d *dashboard) stop(ctx context.Context) error {
	list, err := d.local.Apps(ctx, api.AppsQuery{})
	if err != nil && !errors.Is(err, api.ErrNoDaemon) {
		return err
	}
	i := slices.IndexFunc(list, func(a api.AppInfo) bool {
		return a.Spec.Name == web.AppName && len(a.Spec.Args) > 0 && a.Spec.Args[0] == web.Role
	})
	if i < 0 {
		d.say("the dashboard does not run")
		return nil
	}
	reply, err := d.local.Delete(ctx, api.TargetsRequest{Targets: []string{web.AppName}})
	return d.done(reply, err, func([]app.Status) { d.say("the dashboard has ended") })
}
