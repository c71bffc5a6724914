package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

// Options are the surroundings of one command.
type Options struct {
	Args           []string  // without the program's name
	Stdin          io.Reader // nil: there is nothing to read
	Stdout, Stderr io.Writer
	Environ        []string // "KEY=value"
	Dir            string   // the working directory; "" asks the system when it matters
	Name           string   // under which it was called: "pm2" answers as PM2 does; "" means pace
	Home           string   // Paceline's home folder, absolute
	Exe            string   // absolute path of this program
	Version        string

	// Ensure starts keeper and daemon where there are none; it returns when their
	// socket answers.
	Ensure func(ctx context.Context, home, exe string) error
	// Ended returns when keeper and daemon have ended; nil does not wait for that.
	Ended func(ctx context.Context, home string) error
	// Foreground makes this process a keeper in the foreground, in front of which the
	// same command runs again, with Front set. Private gives it a home of its own. It
	// returns only if it fails; nil where there is no such keeper.
	Foreground func(private bool) error
	// Front tells of hang-ups a command that runs in front of a keeper; nil for all
	// others.
	Front <-chan os.Signal
	// Doctor tells what this system lets Paceline do, without a daemon.
	Doctor func() []api.Check
	// CPUs counts the CPUs that can be used; nil means one.
	CPUs func() int
	// Terminal tells whether w is a terminal, and how wide; nil means none is.
	Terminal func(w io.Writer) (width int, ok bool)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// exitInterrupted is what shells report for a program that SIGINT ended.
const exitInterrupted = 130

// Run executes one command and returns the exit status: 0 if all went well, 1 if
// not, with one line on Stderr that says why, or 130 if ctx ended before that.
func Run(ctx context.Context, o Options) int {
	c := newCLI(o)
	err := c.run(ctx)
	if flushErr := c.out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("write the output: %w", flushErr)
	}
	c.client.Close()
	c.local.Close()
	c.tellVersion()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE): // who reads has seen enough
		return 0
	case errors.Is(err, errQuiet):
		return 1
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	}
	c.errorf("%s", c.explain(err))
	return 1
}

// errQuiet ends a command with status 1 and without a word.
var errQuiet = errors.New("")

// exitStatus ends a command with that status and without a word.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// cli is one command's execution.
type cli struct {
	Options
	client *api.Client // starts a daemon if there is none
	local  *api.Client // speaks only to one that is there
	out    *bufio.Writer
	look   look
	silent bool
	// overview lists everything, which PM2 does after each action.
	overview func() error
}

func newCLI(o Options) *cli {
	if o.Name == "" {
		o.Name = "pace"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CPUs == nil {
		o.CPUs = func() int { return 1 }
	}
	if o.Terminal == nil {
		o.Terminal = func(io.Writer) (int, bool) { return 0, false }
	}
	c := &cli{Options: o, out: bufio.NewWriterSize(o.Stdout, 32<<10), local: api.New(api.Options{Home: o.Home})}
	with := api.Options{Home: o.Home}
	if o.Ensure != nil {
		with.Ensure = func(ctx context.Context) error {
			if err := o.Ensure(ctx, o.Home, o.Exe); err != nil {
				return fmt.Errorf("start the daemon: %w", err)
			}
			return nil
		}
	}
	c.client = api.New(with)
	c.look = c.newLook()
	return c
}

// getenv returns the last value of a variable, which is the one that counts.
func (o *Options) getenv(name string) string {
	for _, entry := range slices.Backward(o.Environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func (c *cli) run(ctx context.Context) error {
	first := ""
	if len(c.Args) > 0 {
		first = c.Args[0]
	}
	root := c.root(first)
	c.overview = func() error { return c.pm2Table(ctx, nil, listing{}) }
	args, err := normalise(root, c.Args)
	if err != nil {
		return err
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && cmd != root && !errors.Is(err, errQuiet) {
		return fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	return err
}

// printf writes to the output, whose errors come back when it is flushed.
func (c *cli) printf(format string, a ...any) {
	fmt.Fprintf(c.out, format, a...) //nolint:errcheck // bufio keeps the error for Flush
}

// say writes a message that --silent leaves out.
func (c *cli) say(format string, a ...any) {
	if !c.silent {
		c.printf(format+"\n", a...)
	}
}

// errorf writes one line to the error output.
func (c *cli) errorf(format string, a ...any) {
	fmt.Fprintln(c.Stderr, c.Name+": "+oneLine(c.renamed(fmt.Sprintf(format, a...)))) //nolint:errcheck // there is nowhere left to say it
}

func (c *cli) warn(text string) { c.errorf("warning: %s", text) }

// oneLine keeps a message of somebody else's to one printable line.
func oneLine(text string) string {
	return printable(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

// printable takes out of a line what a terminal would act on: colours and other
// control sequences go, other control characters become blanks.
func printable(line string) string {
	if !strings.ContainsFunc(line, unicode.IsControl) {
		return line
	}
	var b strings.Builder
	for len(line) > 0 {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok { // parameters up to a letter
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			line = rest[end+1:] // all of rest is parameters: end is -1, and they are text
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		if line = line[size:]; unicode.IsControl(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// explain adds what to do to errors that do not say it themselves.
func (c *cli) explain(err error) string {
	text := err.Error()
	if strings.Contains(text, "; ") {
		return text
	}
	hint := ""
	switch e, _ := errors.AsType[*api.Error](err); {
	case errors.Is(err, api.ErrLost):
		hint = "see what has been done with `pace list`"
	case errors.Is(err, api.ErrNoDaemon):
		hint = "`pace start` begins one"
	case e == nil:
	case e.Code == api.CodeNotFound:
		hint = "`pace list` shows what there is"
	case e.Code == api.CodeExists:
		hint = "restart or reload it, or --force replaces it"
		if c.asPM2() {
			hint = "restart or reload it, or -f starts one more"
		}
	case e.Code == api.CodeReloading, e.Code == api.CodeBusy:
		hint = "try again when that has ended"
	case e.Code == api.CodeStartFailed, e.Code == api.CodeReloadFailed:
		hint = "`pace show` and `pace logs` tell more"
	case e.Code == api.CodeUnsupported:
		hint = "`pace update` makes the daemon this version"
	case e.Code == api.CodeInternal:
		hint = "pace.log in Paceline's home may tell more"
	}
	if hint == "" {
		return text
	}
	return text + "; " + hint
}

// tellVersion warns of a daemon of another version.
func (c *cli) tellVersion() {
	running := c.client.DaemonVersion()
	if running == "" {
		running = c.local.DaemonVersion()
	}
	if running != "" && running != c.Version {
		c.errorf("daemon runs %s, this is %s: run \"pace update\"", running, c.Version)
	}
}

// root builds the tree of commands: of the command first alone if there is one by
// that name, else of all, since options may stand before the command.
func (c *cli) root(first string) *cobra.Command {
	root := &cobra.Command{
		Use:   "pace",
		Short: "Keep servers up, share their ports, reload them without a failed request",
		Long: `pace keeps servers up: it restarts what crashes, runs several instances of a
server on one port, and replaces them without a failed request.`,
		Example: `  pace start server.js -i max     # a worker per CPU, one port
  pace list                       # what runs, and what is wrong
  pace reload server              # new code, no failed request
  pace logs server                # follow its output`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE:              c.noCommand,
		PersistentPreRun: func(*cobra.Command, []string) {
			c.silent = c.silent || c.asPM2() && c.getenv("PM2_SILENT") != ""
		},
	}
	root.SetOut(c.out)
	root.SetErr(c.out) // help only: our errors are printed by Run
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(c.help)
	root.Version = c.Version
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().BoolP("version", "v", false, "print the version")
	flags := root.PersistentFlags()
	flags.BoolVarP(&c.silent, "silent", "s", false, "print errors only")
	flags.BoolVar(&c.look.noColour, "no-color", false, "no colours, as with the variable NO_COLOR")
	root.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true}) // normalise makes --help of it
	for _, g := range only(commandGroups(), first) {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, d := range g.commands {
			cmd := d.build(c)
			cmd.GroupID = g.id
			cmd.Flags().SortFlags = false
			cmd.DisableFlagsInUseLine = true
			if cmd.ValidArgsFunction == nil {
				cmd.ValidArgsFunction = cobra.NoFileCompletions
			}
			root.AddCommand(cmd)
		}
	}
	return root
}

// noCommand answers a pace without a command.
func (c *cli) noCommand(cmd *cobra.Command, _ []string) error {
	if err := cmd.Help(); err != nil {
		return err
	}
	return errQuiet // as PM2: usage, status 1
}
