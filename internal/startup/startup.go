// Package startup has an operating system bring a user's apps back when it boots.
package startup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// What the init system has pace do. It stands here alone.
const (
	atBoot   = "resurrect"  // starts the daemon, and the saved apps that do not run
	atReload = "reload all" // replaces them without a failed request
	// atStop ends the apps, the daemon and the keeper; what ran comes back at boot.
	atStop = "kill --remember"
)

// pidFile is the keeper's, in Paceline's home: the parent of all, which lives as
// long as the apps do. The daemon may be replaced meanwhile.
const pidFile = "keeper.pid"

// Service is what is to be brought back. Every field but Online is needed.
type Service struct {
	Name     string // of the service, without an ending; see ValidName
	User     string // whose apps they are
	UserHome string // that user's home folder, absolute
	Home     string // Paceline's home folder, absolute
	Exe      string // pace itself, absolute
	Path     string // $PATH of the apps and of pace
	Online   bool   // wait until the network has an address, not only until it is set up
}

// ValidName reports whether name can name a service or a user in a unit.
func ValidName(name string) error {
	if name == "" || strings.ContainsAny(name[:1], "-.") {
		return fmt.Errorf("%q cannot name a service or a user", name)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-@", r) {
			return fmt.Errorf("%q cannot name a service or a user; use letters, digits, _ . - and @", name)
		}
	}
	return nil
}

func (s Service) validate() error {
	for _, name := range []string{s.Name, s.User} {
		if err := ValidName(name); err != nil {
			return err
		}
	}
	for _, f := range []struct{ what, path string }{{"the user's home", s.UserHome}, {"Paceline's home", s.Home}, {"pace itself", s.Exe}} {
		if !filepath.IsAbs(f.path) {
			return fmt.Errorf("%s %q is not an absolute path", f.what, f.path)
		}
	}
	if strings.ContainsAny(s.Exe, `"'\`) { // systemd.service(5): "Executable name contains special characters"
		return fmt.Errorf("no unit can run %q, whose path holds a quote or a backslash; install pace elsewhere", s.Exe)
	}
	for _, text := range []string{s.UserHome, s.Home, s.Exe, s.Path} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			return fmt.Errorf("%q holds a character that no unit can", text)
		}
	}
	return nil
}

// Platform is an init system.
type Platform struct {
	Name     string
	detect   string   // the command that tells that it is there
	words    []string // other names of it, as PM2 takes them
	folder   string   // where its files are
	ending   string   // of a file's name
	prefix   string   // of a service's name, before the user's
	mode     fs.FileMode
	text     func(s Service) string
	enable   func(name, file, root string) [][]string // nil: it cannot do so below a root
	disable  func(name, file, root string) [][]string
	rootless bool // it cannot work below another root
}

// platforms are those that pace knows, also to say that it does not do them, in
// PM2's order of detection.
func platforms() []Platform {
	return []Platform{
		systemd(),
		{Name: "upstart", detect: "update-rc.d", words: []string{"ubuntu12", "ubuntu14"}},
		{Name: "systemv", detect: "chkconfig", words: []string{"centos6", "amazon"}},
		openrc(),
		launchd(),
		{Name: "rcd", detect: "sysrc", words: []string{"freebsd"}},
		{Name: "rcd-openbsd", detect: "rcctl", words: []string{"openbsd"}},
		{Name: "smf", detect: "svcadm", words: []string{"solaris", "smartos"}},
	}
}

// Names lists the platforms that Install can do.
func Names() []string {
	var names []string
	for _, p := range platforms() {
		if p.text != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// Find returns the platform of that name. Errors: it is unknown, or not done.
func Find(word string) (Platform, error) {
	for _, p := range platforms() {
		if p.Name == word || slices.Contains(p.words, word) {
			return p.supported()
		}
	}
	return Platform{}, fmt.Errorf("no init system is called %q; there are %s", word, strings.Join(Names(), ", "))
}

// Detect returns the platform whose command is found first. lookPath is exec.LookPath.
func Detect(lookPath func(string) (string, error)) (Platform, error) {
	for _, p := range platforms() {
		if _, err := lookPath(p.detect); err == nil {
			return p.supported()
		}
	}
	return Platform{}, fmt.Errorf("no init system found; name one of %s", strings.Join(Names(), ", "))
}

func (p Platform) supported() (Platform, error) {
	if p.text == nil {
		return Platform{}, fmt.Errorf("%s is not supported, only %s; have it run `pace %s` at boot yourself",
			p.Name, strings.Join(Names(), ", "), atBoot)
	}
	return p, nil
}

// ServiceName is what the service of a user is called unless it is told.
func (p Platform) ServiceName(user string) string { return p.prefix + user }

// File is where the unit of a service stands.
func (p Platform) File(name string) string { return filepath.Join(p.folder, name+p.ending) }

// Text is the unit.
func (p Platform) Text(s Service) (string, error) {
	if err := s.validate(); err != nil {
		return "", err
	}
	return p.text(s), nil
}

// System is where units are installed.
type System struct {
	// Root stands for /: an image that is being prepared. "" is this system.
	Root string
	// Run executes a command and shows its output.
	Run func(ctx context.Context, argv []string) error
	// Tell is told what is done, a line each.
	Tell func(line string)
}

// Install writes the unit, as a whole or not at all, and has it run at each boot.
// systemd and OpenRC do not start it before the next one.
func (p Platform) Install(ctx context.Context, sys System, s Service) error {
	text, err := p.Text(s)
	if err != nil {
		return err
	}
	if err := p.below(sys); err != nil {
		return err
	}
	file := filepath.Join(sys.Root, p.File(s.Name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write the unit: %w", err)
	}
	if err := write(file, text, p.mode); err != nil {
		return fmt.Errorf("write the unit: %w", err)
	}
	sys.Tell("wrote " + file)
	return sys.run(ctx, p.enable(s.Name, file, sys.Root), file+" is written but not enabled")
}

// Remove undoes Install. A service that is not there is an error, fs.ErrNotExist.
func (p Platform) Remove(ctx context.Context, sys System, name string) error {
	if err := ValidName(name); err != nil {
		return err
	}
	if err := p.below(sys); err != nil {
		return err
	}
	file := filepath.Join(sys.Root, p.File(name))
	if _, err := os.Lstat(file); err != nil {
		return fmt.Errorf("remove the unit: %w; --user or --service-name names another", err)
	}
	if err := sys.run(ctx, p.disable(name, file, sys.Root), file+" stays"); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("remove the unit: %w", err)
	}
	sys.Tell("removed " + file)
	if p.Name == "systemd" && sys.Root == "" {
		return sys.run(ctx, [][]string{{"systemctl", "daemon-reload"}}, "the unit is removed")
	}
	return nil
}

func (p Platform) below(sys System) error {
	if sys.Root != "" && p.rootless {
		return fmt.Errorf("%s cannot enable a service below %s; only systemd can", p.Name, sys.Root)
	}
	return nil
}

// run executes commands in turn; what says how things stand if one fails.
func (sys System) run(ctx context.Context, commands [][]string, what string) error {
	for _, argv := range commands {
		line := strings.Join(argv, " ")
		sys.Tell("+ " + line)
		if err := sys.Run(ctx, argv); err != nil {
			return fmt.Errorf("%s: %w; %s", line, err, what)
		}
	}
	return nil
}

// write replaces a file so that a power cut leaves the old one or the new one.
func write(file, text string, mode fs.FileMode) (err error) {
	if err := renameio.WriteFile(file, []byte(text), mode, renameio.IgnoreUmask()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return dir.Sync()
}
