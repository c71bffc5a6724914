package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
	"paceline/internal/serve"
)

// serving is one execution of serve.
type serving struct {
	*cli
	typed   serve.Options // of the command line alone
	port    string        // --port
	options ecosystem.StartOptions
	force   bool
	monitor bool
}

func (c *cli) serveCommand() *cobra.Command {
	s := &serving{cli: c}
	cmd := &cobra.Command{
		Use:     "serve [path] [port]",
		Aliases: []string{"expose"},
		Short:   "Serve the files of a folder by HTTP",
		Long: `serve starts a server of static files as an app: it is listed, logged, scaled and
reloaded as any other, without a failed request. The folder is this one unless
path names another, the port 8080. The app is called static-page-server-<port>.

It listens on all addresses of this machine, as PM2's does: whoever reaches the
port can read the folder. --host 127.0.0.1 keeps it to this machine.

"/" is index.html. What is missing is answered with the nearest 404.html, or with
--spa as a single-page application wants it: the file of that base name at the
root, else index.html. Names that begin with a dot are refused, but for
/.well-known, and so are links that lead out of the folder.

The variables PM2_SERVE_PATH, _PORT, _HOST, _SPA, _FTP (or _DIRECTORY), _HOMEPAGE,
_BASIC_AUTH, _BASIC_AUTH_USERNAME and _BASIC_AUTH_PASSWORD are read as well. As in
PM2 the port is PM2_SERVE_PORT's first; otherwise the command line counts.`,
		Example: `  pace serve                              # this folder, on port 8080
  pace serve dist 3000 --spa -i 2
  pace serve /srv/files --ftp --host 127.0.0.1
  PM2_SERVE_BASIC_AUTH_PASSWORD=secret pace serve docs --basic-auth-username me`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.start(cmd.Context(), args)
		},
	}
	f, o := cmd.Flags(), &s.options
	f.StringVar(&s.port, "port", "", "`number` of the port, 1 to 65535 (default 8080)")
	f.StringVar(&s.typed.Host, "host", "", "`address` to listen on; :: is all, of IPv6 too (default 0.0.0.0: all of IPv4)")
	f.BoolVar(&s.typed.SPA, "spa", false, "a single-page application: what is missing is index.html (default: 404)")
	f.BoolVar(&s.typed.FTP, "ftp", false, "list folders that have no index.html (default: they are missing)")
	f.StringVar(&s.typed.Username, "basic-auth-username", "", "`name` that clients must send (default: none)")
	f.StringVar(&s.typed.Password, "basic-auth-password", "", "`password` that goes with it; the variable PM2_SERVE_BASIC_AUTH_PASSWORD keeps it out of the list of processes (default: none)")
	f.BoolVar(&s.monitor, "monitor", false, "PM2's cloud, which Paceline does not have")
	f.StringVarP(&o.Name, "name", "n", "", "what to call the app: a `word` (default static-page-server-<port>)")
	f.StringVar(&o.Namespace, "namespace", "", "a `word` that groups apps as a target (default \"default\")")
	f.StringVarP(&o.Instances, "instances", "i", "", "instances, which share the port: a `count` from 1, max or 0 for one per usable CPU, -1 for one less than that (default 1)")
	restartFlags(f, o)
	f.StringVar(&o.Stop.KillTimeout, "kill-timeout", "", "`duration` that answers in hand may take when it ends, before they are cut (default 1.6s)")
	logFlags(f, o)
	f.BoolVarP(&s.force, "force", "f", false, "replace an app of that name even if it runs")
	mustComplete(cmd, "instances", []string{"max"})
	return cmd
}

func (s *serving) start(ctx context.Context, args []string) error {
	if s.monitor {
		return errors.New("--monitor: there is no cloud behind Paceline; `pace list` and `pace logs` show what the server does")
	}
	served, err := s.served(args)
	if err != nil {
		return err
	}
	o := s.options
	o.Dir, o.Environ, o.CPUs, o.Target = s.Dir, s.Environ, s.CPUs, s.Exe
	if o.Name == "" {
		o.Name = served.Name()
	}
	spec, warnings, err := ecosystem.FromArgs(ctx, o)
	if err != nil {
		return err
	}
	if err := served.Apply(&spec, s.Exe); err != nil {
		return err
	}
	folder := served.Path
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(spec.Cwd, folder)
	}
	if err := isFolder(folder, args); err != nil {
		return err
	}
	spec.PM2 = s.forPM2()
	reply, err := s.client.Start(ctx, api.StartRequest{Specs: []app.Spec{spec}, Force: s.force})
	reply.Warnings = append(warnings, reply.Warnings...)
	if err := s.done(reply, err, nil); err != nil {
		return err
	}
	s.say("serving %s at http://%s/", folder, served.Address())
	return nil
}

// served puts together what the environment and the command line say.
func (s *serving) served(args []string) (serve.Options, error) {
	o, err := serve.FromEnviron(s.getenv)
	if err != nil {
		return o, err
	}
	if len(args) > 2 {
		return o, fmt.Errorf("%q is one word too many; a folder and a port are all it takes", args[2])
	}
	port := s.port
	if len(args) > 1 {
		port = args[1]
	}
	if len(args) > 0 {
		o.Path = args[0]
	}
	if port != "" {
		typed, err := serve.ParsePort(port)
		switch {
		case err != nil:
			return o, err
		case o.Port == 0:
			o.Port = typed
		case o.Port != typed:
			s.warn(fmt.Sprintf("port %d of PM2_SERVE_PORT goes before %d, as in PM2", o.Port, typed))
		}
	}
	if s.typed.Host != "" {
		o.Host = s.typed.Host
	}
	if s.typed.Username != "" {
		o.Username = s.typed.Username
	}
	if s.typed.Password != "" {
		o.Password = s.typed.Password
	}
	o.SPA, o.FTP = o.SPA || s.typed.SPA, o.FTP || s.typed.FTP
	return o, nil
}

// isFolder refuses what cannot be served, before an app fails on it.
func isFolder(folder string, args []string) error {
	info, err := os.Stat(folder)
	if err != nil && len(args) == 1 {
		if _, portErr := serve.ParsePort(args[0]); portErr == nil {
			return fmt.Errorf("no folder %s; on that port: `pace serve . %s`", folder, args[0])
		}
	}
	if err != nil {
		return fmt.Errorf("serve the folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder; name the one that it is in", folder)
	}
	return nil
}
