// Command bench measures what must hold of pace, and compares it with what users would have instead.
//
// Each part prints rows: what was measured, the figure, its target, and whether
// that is met. A part that cannot run here says why and is skipped. Every part
// works in a private home in a temporary folder and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == writerWord {
		os.Exit(runWriter(os.Args[2:], os.Stdout, os.Stderr))
	}
	if name, args, ok := helperOf(os.Args); ok {
		os.Exit(runHelper(name, args, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// part is one group of measurements.
type part struct {
	name, about string
	measure     func(context.Context, *bench) error
}

func parts() []part {
	return []part{
		{"list", "a command's time, from exec to exit, among 100 and 500 processes", measureList},
		{"memory", "what keeper and daemon hold in memory, idle and with 500 children", measureMemory},
		{"cpu", "what keeper and daemon use of a core with 100 idle children", measureCPU},
		{"crash", "the time from a crash to the new process", measureCrash},
		{"sleepers", "starting and deleting 500 processes by one command", measureSleepers},
		{"apps", "a JavaScript app file of 500 apps, and what it costs to evaluate one", measureApps},
		{"logs", "MB/s and CPU time per GB of output, against cat", measureLogs},
		{"grep", "MB/s of a search in a log, against grep", measureGrep},
		{"cluster", "requests/s of two Node workers, against Node's cluster module and PM2", measureCluster},
		{"reload", "failed requests while all workers are replaced again and again", measureReload},
		{"death", "failed requests while the daemon dies, is updated, and workers die", measureDeath},
		{"pool", "the time of / while requests compute, on a pool of paceline/worker and without", measurePool},
		{"blocked", "late answers while one of two copies computes, against other ways to share", measureBlocked},
		{"balance", "how evenly connections are spread over four copies", measureBalance},
		{"anyreload", "failed requests while copies of programs in five languages are replaced", measureAnyReload},
		{"anykill", "failed requests while copies of programs are killed", measureAnyKill},
		{"throughput", "requests/s of two copies, against the program's own SO_REUSEPORT and Node's cluster", measureThroughput},
		{"sdk", "requests/s of a Go cluster of two workers, against the same with SO_REUSEPORT", measureSDK},
		{"adoption", "what it costs an unmodified program to be adopted", measureAdoption},
		{"web", "the first view of the dashboard in a browser, and what an open page costs the daemon", measureWeb},
	}
}

// bench is what the parts share.
type bench struct {
	pace     string // the binary under measurement, absolute
	cache    string // where programs to compare with are kept
	examples string // the folder of the servers, one for each language
	exe      string // this program, which plays the writer and the helpers
	only     string // if not empty, studies whose name does not hold it are left out
	table    *table
}

// errSkip is a reason not to measure something, not a failure.
var errSkip = errors.New("skipped")

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pace := flags.String("pace", "bin/pace", "the pace `binary` to measure")
	cache := flags.String("cache", ".cache", "`folder` for programs to compare with")
	examples := flags.String("examples", "examples", "`folder` of the servers, one for each language")
	only := flags.String("only", "", "of the parts that measure many programs, only rows whose name holds this `text`")
	strict := flags.Bool("strict", false, "exit with 1 if a target is missed")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	t := &table{w: stdout}
	chosen, err := choose(t, flags.Args())
	if err != nil {
		complain(stderr, err)
		return 2
	}
	if len(chosen) == 0 {
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	b := &bench{table: t, only: *only}
	if err := b.locate(*pace, *cache, *examples); err != nil {
		complain(stderr, err)
		return 1
	}
	t.machine(ctx, b.pace)
	for _, p := range chosen {
		t.part(p.name)
		err := p.measure(ctx, b)
		switch {
		case ctx.Err() != nil:
			complain(stderr, errors.Join(errors.New("interrupted"), err))
			return 1
		case errors.Is(err, errSkip):
			t.say("%v", err)
		case err != nil:
			complain(stderr, fmt.Errorf("%s: %w", p.name, err))
			t.broken++
		}
	}
	t.verdict()
	if t.broken > 0 || *strict && t.missed > 0 {
		return 1
	}
	return 0
}

// choose returns the named parts, all if none is named, and none for "help",
// which it answers.
func choose(t *table, names []string) ([]part, error) {
	all := parts()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []part
	for _, name := range names {
		if name == "help" {
			for _, p := range all {
				t.say("%-11s %s", p.name, p.about)
			}
			return nil, nil
		}
		i := slices.IndexFunc(all, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no part %q; PART=help names them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// locate makes all paths absolute, as the measured programs run elsewhere.
func (b *bench) locate(pace, cache, examples string) error {
	for _, p := range []struct {
		to   *string
		path string
	}{{&b.pace, pace}, {&b.cache, cache}, {&b.examples, examples}} {
		abs, err := filepath.Abs(p.path)
		if err != nil {
			return err
		}
		*p.to = abs
	}
	if _, err := os.Stat(b.pace); err != nil {
		return fmt.Errorf("find the pace binary: %w", err)
	}
	exe, err := os.Executable()
	b.exe = exe
	return err
}

func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "bench:", err) //nolint:errcheck // there is nowhere left to say it
}
