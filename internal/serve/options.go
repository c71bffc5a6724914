// Package serve answers HTTP requests with the files of a folder.
package serve

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// Role is the word by which pace is started as the server: `pace __serve`.
const Role = "__serve"

// DefaultPort and DefaultHost are PM2's. Whoever asks for a server on a machine
// wants it reached; 127.0.0.1 keeps it to that machine.
const (
	DefaultPort = 8080
	DefaultHost = "0.0.0.0"
)

// Options say what is served, where, and to whom.
type Options struct {
	Path string // the folder; "" is the working directory, to which others are relative
	Port int    // 1 to 65535; 0 means DefaultPort
	Host string // an address or a name of this machine; "" means DefaultHost
	// SPA answers what is missing as a single-page application wants it: with the
	// file of the same base name at the root if there is one, else with Homepage.
	SPA      bool
	FTP      bool   // lists folders that have no index.html
	Homepage string // what "/" is, below Path; "" means index.html
	// Username and Password, both or neither, are what a client must send (basic
	// authentication).
	Username, Password string
}

// The environment that the server reads, with PM2's names. The flags of its
// command line come first.
const (
	envPath      = "PM2_SERVE_PATH"
	envPort      = "PM2_SERVE_PORT"
	envHost      = "PM2_SERVE_HOST"
	envSPA       = "PM2_SERVE_SPA"
	envFTP       = "PM2_SERVE_FTP"
	envDirectory = "PM2_SERVE_DIRECTORY" // the same as envFTP
	envHomepage  = "PM2_SERVE_HOMEPAGE"
	envAuth      = "PM2_SERVE_BASIC_AUTH"
	envUsername  = "PM2_SERVE_BASIC_AUTH_USERNAME"
	envPassword  = "PM2_SERVE_BASIC_AUTH_PASSWORD" //nolint:gosec // the name of a variable
)

// FromEnviron reads the variables PM2_SERVE_*; those that are not set leave their
// option at its zero value.
func FromEnviron(getenv func(string) string) (Options, error) {
	o := Options{
		Path: getenv(envPath), Host: getenv(envHost), Homepage: getenv(envHomepage),
		Username: getenv(envUsername), Password: getenv(envPassword),
	}
	if text := getenv(envPort); text != "" {
		port, err := ParsePort(text)
		if err != nil {
			return Options{}, fmt.Errorf("%s: %w", envPort, err)
		}
		o.Port = port
	}
	auth := false
	for _, b := range []struct {
		name string
		to   *bool
	}{{envSPA, &o.SPA}, {envFTP, &o.FTP}, {envDirectory, &o.FTP}, {envAuth, &auth}} {
		text := getenv(b.name)
		if text == "" {
			continue
		}
		on, err := strconv.ParseBool(text)
		if err != nil {
			return Options{}, fmt.Errorf("%s: %q is neither true nor false", b.name, text)
		}
		*b.to = *b.to || on
	}
	if auth && o.Username == "" {
		return Options{}, fmt.Errorf("%s asks for a name and a password; set %s and %s", envAuth, envUsername, envPassword)
	}
	return o, nil
}

// ParsePort reads a port that can be listened on.
func ParsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", text)
	}
	return port, nil
}

// Address is where the server listens.
func (o Options) Address() string {
	o = o.complete()
	return net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
}

// Name is what the app is called if the user does not say: as in PM2.
func (o Options) Name() string { return "static-page-server-" + strconv.Itoa(o.complete().Port) }

// Apply makes spec the app that serves o with the program exe, which is pace
// itself. A relative Path is below the spec's Cwd; a spec without a name gets one.
// What else the spec says stays: instances, logs, environment. Instances share the
// port. Username and password go by the environment, where `ps` does not show them.
func (o Options) Apply(spec *app.Spec, exe string) error {
	if err := o.check(); err != nil {
		return err
	}
	o = o.complete()
	if !filepath.IsAbs(o.Path) {
		o.Path = filepath.Join(spec.Cwd, o.Path)
	}
	spec.Exec, spec.Args = exe, o.words()
	spec.Interpreter, spec.InterpreterArgs, spec.Runtime, spec.Wrapper = "", nil, "", ""
	spec.WaitReady, spec.ShutdownWithMessage = true, false // it says when it listens, and ends by the signal
	if spec.Name == "" {
		spec.Name = o.Name()
	}
	if spec.Instances > 1 && spec.Balance != app.None {
		spec.Mode = app.Cluster
	}
	env := maps.Clone(spec.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.DeleteFunc(env, func(key, _ string) bool { return strings.HasPrefix(key, "PM2_SERVE_") })
	if o.Username != "" {
		env[envUsername], env[envPassword] = o.Username, o.Password
	}
	spec.Env = env
	return nil
}

// words is the command line that has the server do what o says.
func (o Options) words() []string {
	words := []string{Role, "--host", o.Host, "--port", strconv.Itoa(o.Port), "--path", o.Path}
	if o.SPA {
		words = append(words, "--spa")
	}
	if o.FTP {
		words = append(words, "--ftp")
	}
	if o.Homepage != "index.html" {
		words = append(words, "--homepage", o.Homepage)
	}
	return words
}

// parse reads the server's command line, without Role, over what the environment
// says.
func parse(args []string, getenv func(string) string) (Options, error) {
	o, err := FromEnviron(getenv)
	if err != nil {
		return Options{}, err
	}
	f := flag.NewFlagSet(Role, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Host, "host", o.Host, "")
	f.IntVar(&o.Port, "port", o.Port, "")
	f.StringVar(&o.Path, "path", o.Path, "")
	f.StringVar(&o.Homepage, "homepage", o.Homepage, "")
	f.BoolVar(&o.SPA, "spa", o.SPA, "")
	f.BoolVar(&o.FTP, "ftp", o.FTP, "")
	if err := f.Parse(args); err != nil {
		return Options{}, err
	}
	if f.NArg() > 0 {
		return Options{}, fmt.Errorf("%q is one word too many", f.Arg(0))
	}
	if err := o.check(); err != nil {
		return Options{}, err
	}
	return o.complete(), nil
}

// check reports what cannot be served like that.
func (o Options) check() error {
	switch {
	case o.Port < 0 || o.Port > 65535:
		return fmt.Errorf("port %d is not between 1 and 65535", o.Port)
	case (o.Username == "") != (o.Password == ""):
		return errors.New("basic authentication needs a name and a password")
	case strings.Contains(o.Username, ":"):
		return errors.New("a name for basic authentication cannot hold a colon")
	case strings.ContainsRune(o.Path+o.Host+o.Homepage+o.Username+o.Password, 0):
		return errors.New("a NUL byte cannot be served")
	}
	if o.Homepage != "" && !filepath.IsLocal(homepage(o.Homepage)) {
		return fmt.Errorf("homepage %q is not below the folder", o.Homepage)
	}
	return nil
}

// complete puts the defaults in.
func (o Options) complete() Options {
	if o.Path == "" {
		o.Path = "."
	}
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.Homepage == "" {
		o.Homepage = "index.html"
	}
	o.Homepage = homepage(o.Homepage)
	return o
}

// homepage makes PM2's "/index.html" a name below the folder.
func homepage(text string) string { return strings.TrimPrefix(path.Clean(text), "/") }
