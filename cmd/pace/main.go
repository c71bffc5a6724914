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
	"syscall"
	"time"

	"golang.org/x/term"

	"paceline/internal/cli"
	"paceline/internal/daemon"
	"paceline/internal/keeper"
	"paceline/internal/kernel"
)

// version is set by the linker at a release.
var version = "0.1.0-dev"

// The hidden roles.
const (
	roleKeeper = "__keeper"
	roleDaemon = "__daemon"
)

func main() {
	os.Exit(run(os.Args))
}

// run plays the role that argv asks for and returns the exit status.
func run(argv []string) int {
	if len(argv) > 1 {
		switch argv[1] {
		case roleKeeper:
			return report(runKeeper())
		case roleDaemon:
			return report(runDaemon())
		case daemon.ExecRole:
			return report(daemon.ListenPID(argv[2:]))
		}
	}
	return runCLI(argv)
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
	time.AfterFunc(startOver, func() {
		if err := kernel.ReleaseCode(); err != nil {
			fmt.Fprintf(os.Stderr, "keeper: %v\n", err)
		}
	})
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
func runDaemon() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	home, exe, err := self()
	if err != nil {
		return err
	}
	return daemon.Run(ctx, daemon.Options{
		Home: home, Version: version, Exe: exe,
		Keeper: os.NewFile(keeperFD, "keeper"), Socket: os.NewFile(socketFD, "api"),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// runCLI is what a user calls.
func runCLI(argv []string) int {
	name := called(argv)
	home, exe, err := self()
	if own := os.Getenv("PM2_HOME"); name == pm2Name && own != "" && err == nil {
		home, err = filepath.Abs(own)
	}
	if err != nil {
		return report(err)
	}
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write, which the command handles
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Options{
		Args: argv[1:], Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Name: name, Home: home, Exe: exe, Version: version,
		Ensure: keeper.Ensure, Ended: keeper.Ended, Doctor: daemon.Doctor, CPUs: kernel.CPUs, Terminal: terminal,
	})
}

// pm2Name is the name under which the command line answers as PM2 does:
// `ln -s pace pm2`.
const pm2Name = "pm2"

// called returns the name under which the program was called, if it is one that
// makes a difference.
func called(argv []string) string {
	if len(argv) > 0 && filepath.Base(argv[0]) == pm2Name {
		return pm2Name
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
		return "", "", fmt.Errorf("find own program: %w", err)
	}
	if home = os.Getenv("PACELINE_HOME"); home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", "", fmt.Errorf("find home folder: %w; set PACELINE_HOME", err)
		}
		home = filepath.Join(user, ".paceline")
	}
	if home, err = filepath.Abs(home); err != nil {
		return "", "", fmt.Errorf("find home folder: %w", err)
	}
	return home, exe, nil
}
