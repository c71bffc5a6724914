// Our own sockets are plain TCP: a multipath socket cannot join a reuseport
// group with a selecting program.
//
//go:debug multipathtcp=0

// Command pace keeps servers up, shares their ports among several copies and
// replaces them without a failed request.
//
// One binary plays every role: the command line (the default), the daemon that
// decides, and the keeper that is the parent of every process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"paceline/internal/cli"
	"paceline/internal/daemon"
	"paceline/internal/jseval"
	"paceline/internal/keeper"
	"paceline/internal/kernel"
	"paceline/internal/logsearch"
	"paceline/internal/serve"
	"paceline/internal/web"
)

// version is set by the linker at a release.
var version = "0.1.0-dev"

// The hidden roles.
const (
	roleKeeper = "__keeper"
	roleDaemon = "__daemon"
)

// daemonFront is the daemon's argument under a keeper in the foreground.
const daemonFront = "--foreground"

func main() {
	os.Exit(run(os.Args))
}

// run plays the role that argv asks for and returns the exit status.
func run(argv []string) int {
	if len(argv) > 1 {
		switch argv[1] {
		case roleKeeper:
			return report(runKeeper())
		case jseval.Role:
			return report(jseval.Main(os.Stdin, os.Stdout))
		case logsearch.Role:
			return report(runSearch())
		case roleForeground:
			return runForeground(argv[2:])
		case roleFront:
			return runFront(argv[2:])
		case roleDaemon:
			return report(runDaemon(len(argv) > 2 && argv[2] == daemonFront))
		case daemon.ExecRole:
			return report(daemon.ListenPID(argv[2:]))
		case serve.Role:
			return report(runServe(argv[2:]))
		case web.Role:
			return report(runWeb(argv[2:]))
		}
	}
	name := filepath.Base(argv[0])
	return runCLI(append([]string{name}, alias(name, argv[1:])...), nil)
}

// report prints the one line of an error.
func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "pace: %v\n", err)
	return 1
}

// runKeeper is the parent of every process. It ends by a message of the daemon
// alone: signals meant for a terminal's group must not end all apps.
func runKeeper() error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	home, exe, err := self()
	if err != nil {
		return err
	}
	// The start is over by then; what follows is waiting.
	time.AfterFunc(startOver, func() { release("keeper") })
	err = keeper.Run(context.Background(), keeper.Options{
		Home: home, Daemon: []string{exe, roleDaemon}, Log: os.Stderr,
	})
	if errors.Is(err, keeper.ErrRunning) {
		return nil // another one was faster: that one serves
	}
	return err
}

// startOver is when the keeper gives back the memory that only its start needed.
const startOver = 2 * time.Second

// The descriptors that the keeper gives to a daemon.
const (
	keeperFD = 3
	socketFD = 4
)

// runDaemon serves until it is told to end.
func runDaemon(foreground bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	home, exe, err := self()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if foreground { // what it says stands between what the apps say
		level = slog.LevelWarn
	}
	return daemon.Run(ctx, daemon.Options{
		Home: home, Version: version, Exe: exe,
		Keeper: os.NewFile(keeperFD, "keeper"), Socket: os.NewFile(socketFD, "api"),
		Log:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Foreground: foreground,
	})
}

// searchedFD is the descriptor by whose end a search tells that the files are read.
const searchedFD = 3

// runSearch is a search of logs, which the daemon has started.
func runSearch() error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGINT, syscall.SIGHUP)
	return logsearch.Main(context.Background(), os.Stdin, os.Stdout, os.NewFile(searchedFD, "searched"))
}

// runServe is the static file server, an app of pace's own.
func runServe(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return serve.Main(ctx, args, os.Getenv, os.Stdout, os.Stderr)
}

// runWeb is the dashboard, an app of pace's own.
func runWeb(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return web.Main(ctx, args, os.Getenv, os.Stdout, os.Stderr)
}

// runCLI is what a user calls. In front of a keeper in the foreground it is told of
// hang-ups.
func runCLI(argv []string, hangups <-chan os.Signal) int {
	name := called(argv)
	home, exe, err := self()
	if own := os.Getenv("PM2_HOME"); name == pm2Name && own != "" && (err == nil || errors.Is(err, errNoHome)) {
		home, err = filepath.Abs(own)
	}
	ensure := keeper.Ensure
	if errors.Is(err, errNoHome) { // a foreground needs none
		missing := err
		home, err = "@nowhere", nil
		ensure = func(context.Context, string, string) error { return missing }
	}
	if err != nil {
		return report(err)
	}
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write, which the command handles
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := cli.Options{
		Args: argv[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Home: home, Exe: exe, Version: version, Name: name,
		Ensure: ensure, Ended: keeper.Ended, Doctor: daemon.Doctor, CPUs: kernel.CPUs, Terminal: terminal,
		Foreground: func(private bool) error { return foreground(argv[0], exe, argv[1:], private) },
	}
	if hangups != nil {
		o.Front, o.Ensure, o.Foreground = hangups, nil, nil
	}
	return cli.Run(ctx, o)
}

// pm2Name is the name under which the command line answers as PM2 does:
// `ln -s pace pm2`.
const pm2Name = "pm2"

// called returns the name under which the program was called, if it is one that
// makes a difference.
func called(argv []string) string {
	if name := filepath.Base(argv[0]); strings.HasPrefix(name, pm2Name) {
		return name
	}
	return "pace"
}

// terminal reports whether w is a terminal, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil
}

// self returns the home folder and the path of this program.
func self() (home, exe string, err error) {
	if exe, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("find own program: %w; it needs /proc to be mounted", err)
	}
	home = os.Getenv("PACELINE_HOME")
	switch {
	case strings.HasPrefix(home, "@"): // a keeper without files
		return home, exe, nil
	case home == "":
		if home, err = ownHome(); err != nil {
			return "", exe, err
		}
	}
	if home, err = filepath.Abs(home); err != nil {
		return "", "", fmt.Errorf("find home folder: %w", err)
	}
	return home, exe, nil
}

// errNoHome says that the user has no home folder.
var errNoHome = errors.New("no home folder")

// ownHome is the user's, where none is named. Errors: errNoHome.
func ownHome() (string, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w; set PACELINE_HOME", errNoHome, err)
	}
	return filepath.Join(user, ".paceline"), nil
}
