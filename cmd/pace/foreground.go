package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"paceline/internal/keeper"
	"paceline/internal/kernel"
)

// The hidden roles of a command in the foreground: the keeper that it becomes, and
// the command itself, as that keeper's child.
const (
	roleForeground = "__foreground"
	roleFront      = "__front"
)

// The two ways to end a home.
const (
	homeStays     = "stays"
	homeTemporary = "temporary"
)

// foreground makes this process the keeper of a home and has the command run again
// in front of it. It returns only if that fails. The keeper has to be this process,
// the parent of all, and must find no signal taken: hence a new program in it.
func foreground(name, exe string, args []string, private bool) error {
	home, temporary, err := frontHome(private)
	if err != nil {
		return err
	}
	end := homeStays
	if temporary {
		end = homeTemporary
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, homeVariable) })
	argv := append([]string{name, roleForeground, end, name}, args...)
	if err := syscall.Exec(exe, argv, append(env, homeVariable+home)); err != nil {
		return fmt.Errorf("run %s: %w", exe, err)
	}
	return nil
}

const homeVariable = "PACELINE_HOME="

// frontHome chooses the home of a foreground. What PACELINE_HOME says holds. Else it
// is the user's own, unless it is to be private: not so in a container, which holds
// nothing else, so that commands that are run in there find it. Without a place for
// files there are none.
func frontHome(private bool) (home string, temporary bool, err error) {
	if set := os.Getenv("PACELINE_HOME"); set != "" {
		home, err = filepath.Abs(set)
		return home, false, err
	}
	if !private || os.Getpid() == 1 {
		if home, err := ownHome(); err == nil && writable(home) {
			return home, false, nil
		}
	}
	for _, dir := range []string{"/dev/shm", os.TempDir()} {
		if home, err := os.MkdirTemp(dir, "pace-"); err == nil {
			return home, true, nil
		}
	}
	return "@pace-" + rand.Text(), false, nil
}

// writable tells whether a home can be made, or is there and can be written to.
func writable(home string) bool {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return false
	}
	f, err := os.CreateTemp(home, "new-")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

// exitForced is what a second signal leads to: all is killed, and so are we.
const exitForced = 128 + int(syscall.SIGKILL)

// runForeground is the keeper in the foreground: the first process of a container,
// or what a shell waits for.
func runForeground(argv []string) int {
	signal.Ignore(syscall.SIGPIPE)
	home, exe, err := self()
	if err != nil || len(argv) < 2 {
		return report(err)
	}
	time.AfterFunc(startOver, func() { release("keeper") })
	front := &keeper.Front{Argv: append([]string{exe, roleFront}, argv[1:]...)}
	err = keeper.Run(context.Background(), keeper.Options{
		Home: home, Daemon: []string{exe, roleDaemon, daemonFront}, Log: os.Stderr, Front: front,
	})
	if argv[0] == homeTemporary {
		err = errors.Join(err, os.RemoveAll(home))
	}
	switch {
	case errors.Is(err, keeper.ErrForced):
		return exitForced
	case errors.Is(err, keeper.ErrRunning):
		return report(fmt.Errorf("%w; `pace kill` ends it, or name another home by PACELINE_HOME", err))
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return report(fmt.Errorf("%w; name a home that can be written to by PACELINE_HOME, or none", err))
	case err != nil:
		return report(err)
	case front.Status == nil:
		return 0
	case front.Status.Signaled():
		return 128 + int(front.Status.Signal())
	}
	return front.Status.ExitStatus()
}

// runFront is the command in front of that keeper.
func runFront(argv []string) int {
	if len(argv) == 0 {
		return report(errors.New("no command"))
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Ignore(syscall.SIGUSR1, syscall.SIGUSR2)
	time.AfterFunc(startOver, func() { release(argv[0]) })
	return runCLI(argv, hangups)
}

// release gives back the memory that only the start needed.
func release(who string) {
	if err := kernel.ReleaseCode(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", who, err)
	}
}

// alias puts the command that a name of the program stands for in front of the
// arguments.
func alias(name string, args []string) []string {
	commands := map[string]string{
		"pm2-runtime": "runtime", "pm2-docker": "runtime", "pace-runtime": "runtime",
		"pm2-dev": "dev", "pace-dev": "dev",
	}
	command := commands[name]
	asksVersion := len(args) == 1 && (args[0] == "-v" || args[0] == "--version")
	if command == "" || asksVersion || len(args) > 0 && strings.HasPrefix(args[0], "__") {
		return args
	}
	return append([]string{command}, args...)
}
