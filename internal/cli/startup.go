package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"paceline/internal/startup"
)

// booting is one execution of startup or unstartup.
type booting struct {
	*cli
	user, userHome, service string
	root                    string
	online, print           bool
}

func (c *cli) startupCommand() *cobra.Command {
	b := &booting{cli: c}
	cmd := &cobra.Command{
		Use:   "startup [platform]",
		Short: "Have the saved apps brought back at boot",
		Long: `startup makes a service of the init system that runs ` + "`pace resurrect`" + ` at boot, as
the user whose apps they are. It needs root: without, it prints the line to run.
What is brought back is what ` + "`pace save`" + ` has saved.

The platform is found out, or is one of ` + strings.Join(startup.Names(), ", ") + `. Paceline's home is
$PACELINE_HOME if it is set, else .paceline in the user's home folder. PATH is this
one. Nothing is started before the next boot; systemctl start does so at once, after
` + "`pace kill`" + ` if the apps run already.`,
		Example: `  pace startup                    # prints the line to run as root
  sudo pace startup -u alice
  pace startup systemd --print    # the unit alone; nothing is written`,
		RunE: func(cmd *cobra.Command, args []string) error { return b.install(cmd.Context(), args) },
	}
	b.flags(cmd.Flags())
	cmd.Flags().BoolVar(&b.online, "wait-ip", false, "wait at boot until the machine has an address (default: until the network is set up)")
	cmd.Flags().BoolVar(&b.print, "print", false, "print the unit and do nothing")
	cmd.ValidArgs = startup.Names()
	return cmd
}

func (c *cli) unstartupCommand() *cobra.Command {
	b := &booting{cli: c}
	cmd := &cobra.Command{
		Use:   "unstartup [platform]",
		Short: "Undo startup",
		Long: `unstartup removes the service that startup has made. It needs root: without, it
prints the line to run. The apps that run go on.`,
		Example: `  sudo pace unstartup -u alice`,
		RunE:    func(cmd *cobra.Command, args []string) error { return b.remove(cmd.Context(), args) },
	}
	b.flags(cmd.Flags())
	cmd.ValidArgs = startup.Names()
	return cmd
}

func (b *booting) flags(f *pflag.FlagSet) {
	f.StringVarP(&b.user, "user", "u", "", "`name` of the user whose apps they are (default $USER, else who runs this)")
	f.StringVar(&b.userHome, "hp", "", "that user's home `folder` (default: as the system knows it)")
	f.StringVar(&b.service, "service-name", "", "`name` of the service (default pace-<user>)")
	f.StringVar(&b.root, "root", "", "`folder` that stands for /, for an image that is being made; systemd only (default /)")
}

func (b *booting) install(ctx context.Context, args []string) error {
	p, s, err := b.describe(args)
	if err != nil {
		return err
	}
	text, err := p.Text(s)
	if err != nil {
		return err
	}
	if b.print {
		b.printf("%s", text)
		return nil
	}
	if !b.allowed() {
		return b.tellSudo("startup", p, s)
	}
	if sudo := b.getenv("SUDO_USER"); sudo != "" && sudo != s.User && b.user == "" {
		b.warn(fmt.Sprintf("these are the apps of %s; for those of %s: -u %s", s.User, sudo, sudo))
	}
	if err := p.Install(ctx, b.system(), s); err != nil {
		return err
	}
	b.say("the apps that `pace save` saves as %s are brought back at boot; `pace unstartup` undoes that", s.User)
	return nil
}

func (b *booting) remove(ctx context.Context, args []string) error {
	p, s, err := b.describe(args)
	if err != nil {
		return err
	}
	if !b.allowed() {
		return b.tellSudo("unstartup", p, s)
	}
	return p.Remove(ctx, b.system(), s.Name)
}

// allowed tells whether this process may write where units are.
func (b *booting) allowed() bool { return os.Geteuid() == 0 || b.root != "" }

func (b *booting) system() startup.System {
	return startup.System{
		Root: b.root,
		Tell: func(line string) { b.say("%s", line) },
		Run: func(ctx context.Context, argv []string) error {
			if err := b.out.Flush(); err != nil {
				return err
			}
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Env, cmd.Stdout, cmd.Stderr = b.Environ, b.Stdout, b.Stderr
			return cmd.Run()
		},
	}
}

// tellSudo prints the line that does it, and ends with status 1 as PM2 does.
func (b *booting) tellSudo(verb string, p startup.Platform, s startup.Service) error {
	words := []string{"sudo", "env", `PATH="$PATH"`}
	if home := b.getenv("PACELINE_HOME"); home != "" {
		words = append(words, "PACELINE_HOME="+quoteWord(s.Home))
	}
	words = append(words, quoteWord(s.Exe), verb, p.Name, "-u", quoteWord(s.User), "--hp", quoteWord(s.UserHome))
	if b.service != "" {
		words = append(words, "--service-name", quoteWord(b.service))
	}
	if b.online {
		words = append(words, "--wait-ip")
	}
	b.printf("init system: %s; this needs root, so run:\n%s\n", p.Name, strings.Join(words, " "))
	return errQuiet
}

// quoteWord writes a word as a shell reads it.
func quoteWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-@:+,=", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// describe finds out what is to be brought back, and by what.
func (b *booting) describe(args []string) (startup.Platform, startup.Service, error) {
	var s startup.Service
	p, err := b.platform(args)
	if err != nil {
		return p, s, err
	}
	if b.root != "" {
		if b.root, err = b.abs(b.root); err != nil {
			return p, s, err
		}
	}
	s = startup.Service{Name: b.service, Path: b.getenv("PATH"), Online: b.online, Exe: stable(b.Exe, b.getenv("PATH"))}
	if s.User, s.UserHome, err = b.whose(); err != nil {
		return p, s, err
	}
	s.Home = b.Home
	if b.getenv("PACELINE_HOME") == "" {
		s.Home = filepath.Join(s.UserHome, ".paceline")
	}
	if s.Name == "" {
		s.Name = p.ServiceName(s.User)
	}
	return p, s, nil
}

func (b *booting) platform(args []string) (startup.Platform, error) {
	if len(args) > 1 {
		return startup.Platform{}, fmt.Errorf("%q is one word too many; a platform is all it takes", args[1])
	}
	if len(args) == 1 {
		return startup.Find(args[0])
	}
	return startup.Detect(func(name string) (string, error) { return findProgram(name, b.getenv("PATH")) })
}

// findProgram looks on a PATH that need not be this process's own. The folders of
// the administrator's programs may not be on a user's.
func findProgram(name, path string) (string, error) {
	for _, dir := range append(filepath.SplitList(path), "/usr/sbin", "/sbin") {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", exec.ErrNotFound
}

// stable is the path by which the PATH finds this program, if it does: it stays when
// the next version is installed, unlike that to which links lead.
func stable(exe, path string) string {
	file, err := findProgram(filepath.Base(exe), path)
	if err != nil || !filepath.IsAbs(file) {
		return exe
	}
	if real, err := filepath.EvalSymlinks(file); err != nil || real != exe {
		return exe
	}
	return file
}

// whose finds the user and their home folder.
func (b *booting) whose() (name, home string, err error) {
	name = b.user
	for _, variable := range []string{"USER", "LOGNAME"} {
		if name == "" {
			name = b.getenv(variable)
		}
	}
	if name == "" {
		current, err := user.Current()
		if err != nil {
			return "", "", fmt.Errorf("find out who runs this: %w; --user says so", err)
		}
		name = current.Username
	}
	if err := startup.ValidName(name); err != nil {
		return "", "", fmt.Errorf("--user: %w", err)
	}
	home = b.userHome
	known, err := user.Lookup(name)
	if err != nil && home != "" {
		b.warn(fmt.Sprintf("%v here; the service starts nothing unless the system knows them at boot", err))
	}
	switch {
	case home != "":
		if home, err = b.abs(home); err != nil {
			return "", "", err
		}
	case err == nil:
		home = known.HomeDir
	case b.user == "" && b.getenv("HOME") != "": // of a directory service, which only the C library asks
		home = b.getenv("HOME")
	default:
		return "", "", fmt.Errorf("find the home folder of %s: %w; --hp names it", name, err)
	}
	return name, home, nil
}

// abs makes a path of the command line absolute.
func (c *cli) abs(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	dir := c.Dir
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return "", errors.Join(fmt.Errorf("find %s", path), err)
		}
		dir = wd
	}
	return filepath.Join(dir, path), nil
}
