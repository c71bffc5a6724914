// Package web is the dashboard: pages for a browser about what the API tells, and
// the server that hands them out. It runs as an app, and is a client of the API as
// any other, so that nothing that faces a network is inside the daemon.
package web

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// Role is the word by which pace is started as the dashboard: `pace __web`.
const Role = "__web"

// AppName is what the dashboard's app is called.
const AppName = "pace-web"

// DefaultListen is where the dashboard is if nobody says otherwise; the port was
// that of `pm2 web`.
const DefaultListen = "127.0.0.1:9615"

// Options say where the dashboard is, and about what.
type Options struct {
	Home string // Paceline's home folder, absolute; it holds the token
	// Listen is host:port, as ParseListen returns it; "" means DefaultListen. On an
	// address that is not a loopback one the dashboard speaks TLS, always.
	Listen string
	// Cert and Key are PEM files, absolute, both or neither. Without them TLS has a
	// certificate of our own making.
	Cert, Key string
	// Names are further names by which browsers may call this machine. Those of
	// Listen and of the certificate, and any address, are known anyway.
	Names []string
}

// ParseListen reads "host:port", ":port" (all addresses), "port" (the loopback one)
// or "host", and returns the first form.
func ParseListen(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, "9615"
		if _, err := strconv.Atoi(text); err == nil {
			host, port = "127.0.0.1", text
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	_, err = netip.ParseAddr(host)
	isName := !strings.ContainsAny(host, " /@:[]%\x00")
	if n, portErr := strconv.ParseUint(port, 10, 16); portErr != nil || err != nil && !isName || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("%q is not an address such as 127.0.0.1:9615, :9615 or 9615", text)
	}
	if host == "" {
		host = "::"
	}
	return net.JoinHostPort(host, port), nil
}

// Apply makes spec the app that shows the dashboard with the program exe, which is
// pace itself.
func (o Options) Apply(spec *app.Spec, exe string) error {
	o = o.complete()
	if err := o.check(); err != nil {
		return err
	}
	spec.Name, spec.Exec, spec.Args = AppName, exe, o.words()
	spec.Interpreter, spec.InterpreterArgs, spec.Runtime, spec.Wrapper = "", nil, "", ""
	spec.Mode, spec.Instances, spec.Balance = app.Fork, 1, ""
	spec.WaitReady, spec.ShutdownWithMessage = true, false // it says when it listens, and ends by the signal
	return nil
}

// words is the command line that has the dashboard be what o says.
func (o Options) words() []string {
	words := []string{Role, "--home", o.Home, "--listen", o.Listen}
	if o.Cert != "" {
		words = append(words, "--cert", o.Cert, "--key", o.Key)
	}
	for _, name := range o.Names {
		words = append(words, "--host", name)
	}
	return words
}

// Parse reads the dashboard's command line, without Role.
func Parse(args []string) (Options, error) {
	var o Options
	f := flag.NewFlagSet(Role, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Home, "home", "", "")
	f.StringVar(&o.Listen, "listen", "", "")
	f.StringVar(&o.Cert, "cert", "", "")
	f.StringVar(&o.Key, "key", "", "")
	f.Func("host", "", func(name string) error {
		o.Names = append(o.Names, name)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return Options{}, err
	}
	if f.NArg() > 0 {
		return Options{}, fmt.Errorf("%q is one word too many", f.Arg(0))
	}
	o = o.complete()
	return o, o.check()
}

// complete puts the defaults in.
func (o Options) complete() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	return o
}

func (o Options) check() error {
	if !filepath.IsAbs(o.Home) {
		return fmt.Errorf("the home %q is no folder, and the dashboard's token has to be in one; name another by PACELINE_HOME", o.Home)
	}
	if (o.Cert == "") != (o.Key == "") {
		return errors.New("a certificate needs its key: name both, --cert and --key")
	}
	for _, file := range []string{o.Cert, o.Key} {
		if file != "" && !filepath.IsAbs(file) {
			return fmt.Errorf("%s is not an absolute path", file)
		}
	}
	if listen, err := ParseListen(o.Listen); err != nil || listen != o.Listen {
		return fmt.Errorf("%q is not an address such as %s", o.Listen, DefaultListen)
	}
	if i := slices.IndexFunc(o.Names, func(name string) bool {
		return name == "" || strings.ContainsAny(name, " /:@*\x00")
	}); i >= 0 {
		return fmt.Errorf("%q is not a host's name", o.Names[i])
	}
	return nil
}

// folder holds what the dashboard keeps: its token, and a certificate of our making.
func (o Options) folder() string { return filepath.Join(o.Home, "web") }
