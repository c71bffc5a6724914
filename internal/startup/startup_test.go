package startup

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func alice() Service {
	return Service{
		Name: "pace-alice", User: "alice", UserHome: "/home/alice", Home: "/home/alice/.paceline",
		Exe: "/usr/local/bin/pace", Path: "/usr/local/bin:/usr/bin:/bin",
	}
}

// odd has all that a unit could misread.
func odd() Service {
	s := alice()
	s.UserHome, s.Home = `/home/a 'b'`, `/home/a 'b'/100% "$HOME"`
	s.Exe, s.Path, s.Online = "/opt/my $dir;/pace", `/opt/<&>:/50%`, true
	return s
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		platform, file string
		service        Service
	}{
		{"systemd", "systemd", alice()},
		{"systemd", "systemd_odd", odd()},
		{"openrc", "openrc", alice()},
		{"openrc", "openrc_odd", odd()},
		{"launchd", "launchd", alice()},
		{"launchd", "launchd_odd", odd()},
	} {
		p, err := Find(c.platform)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Text(c.service)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", c.file)
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s", c.file, got)
		}
	}
}

// systemd itself says what it thinks of the unit.
func TestSystemdAcceptsTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on PATH; install the package systemd")
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, `my %dir $x`, "pace")
	if err := os.MkdirAll(filepath.Dir(exe), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Service{alice(), odd()} {
		s.Exe, s.User = exe, "root"
		text, err := systemd().Text(s)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "pace-root.service")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// What else is said is about other units of this machine.
			newer := strings.Contains(line, "'DelegateSubgroup'") // than this systemd, which passes over it
			if strings.Contains(line, "pace-root.service") && !newer {
				t.Errorf("systemd-analyze: %s", line)
			}
		}
		if err != nil {
			t.Logf("systemd-analyze: %v\n%s", err, out)
		}
	}
}

func TestShellAcceptsTheScript(t *testing.T) {
	dir := t.TempDir()
	// A su that is no other user but has a PATH of its own, as real ones do.
	su := "#!/bin/sh\n[ \"$1 $2 $3 $4\" = '-s /bin/sh alice -c' ] || exit 9\nshift 4\nPATH=/bin exec /bin/sh -c \"$@\"\n"
	pace := "#!/bin/sh\necho \"$PACELINE_HOME $PATH $HOME:\" \"$@\"\necho $PPID > \"$PACELINE_HOME/keeper.pid\"\n"
	s := odd()
	s.Home = filepath.Join(dir, `it's "$HOME"`)
	s.Exe = filepath.Join(dir, `a $b;`, "pace")
	for file, text := range map[string]string{filepath.Join(dir, "bin", "su"): su, s.Exe: pace} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	script, err := openrc().Text(s)
	if err != nil {
		t.Fatal(err)
	}
	run := "ebegin() { :; }\neend() { return $1; }\n" + script + "\nstart && reload && stop\n"
	cmd := exec.CommandContext(t.Context(), "sh", "-c", run)
	cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	head := s.Home + " " + s.Path + " " + s.UserHome + ": "
	if want := head + "resurrect\n" + head + "reload all\n" + head + "kill --remember\n"; err != nil || string(out) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out, want)
	}
}

func TestPlistIsXML(t *testing.T) {
	text, err := launchd().Text(odd())
	if err != nil {
		t.Fatal(err)
	}
	var strs []string
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			strs = append(strs, string(data))
		}
	}
	for _, want := range []string{odd().Exe, odd().Path, odd().Home, "resurrect"} {
		if !slices.Contains(strs, want) {
			t.Errorf("%q is not in it", want)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct{ there, want, mention string }{
		{"launchctl systemctl rc-update", "systemd", ""},
		{"rc-update", "openrc", ""},
		{"launchctl", "launchd", ""},
		{"update-rc.d rc-update", "", "upstart is not supported, only systemd, openrc, launchd"},
		{"sysrc", "", "rcd is not supported"},
		{"", "", "no init system found"},
	} {
		p, err := Detect(func(name string) (string, error) {
			if slices.Contains(strings.Fields(c.there), name) {
				return "/bin/" + name, nil
			}
			return "", exec.ErrNotFound
		})
		if p.Name != c.want || (err == nil) != (c.mention == "") || err != nil && !strings.Contains(err.Error(), c.mention) {
			t.Errorf("%q: got %q, %v; want %q, %q", c.there, p.Name, err, c.want, c.mention)
		}
	}
	for word, want := range map[string]string{"ubuntu": "systemd", "macos": "launchd", "gentoo": "openrc", "systemd": "systemd"} {
		if p, err := Find(word); err != nil || p.Name != want {
			t.Errorf("%s: got %q, %v", word, p.Name, err)
		}
	}
	for word, mention := range map[string]string{"amazon": "systemv is not supported", "frob": `"frob"`} {
		if _, err := Find(word); err == nil || !strings.Contains(err.Error(), mention) {
			t.Errorf("%s: got %v", word, err)
		}
	}
}

func TestInstallAndRemove(t *testing.T) {
	root := t.TempDir()
	var said []string
	var fails error
	sys := System{
		Root: root,
		Tell: func(line string) { said = append(said, line) },
		Run:  func(context.Context, []string) error { return fails },
	}
	p, file := systemd(), filepath.Join(root, "etc/systemd/system/pace-alice.service")
	if err := p.Remove(t.Context(), sys, "pace-alice"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove what is not there: got %v", err)
	}
	for range 2 { // the second replaces
		if err := p.Install(t.Context(), sys, alice()); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := p.Text(alice())
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("got %v, want the unit alone", entries)
	}
	if line := "+ systemctl --root " + root + " enable pace-alice.service"; !slices.Contains(said, line) {
		t.Errorf("got %q, want %q", said, line)
	}
	fails = errors.New("exit status 1")
	if err := p.Install(t.Context(), sys, alice()); err == nil || !strings.Contains(err.Error(), "is written but not enabled") {
		t.Errorf("got %v", err)
	}
	if err := p.Remove(t.Context(), sys, "pace-alice"); err == nil || !strings.Contains(err.Error(), "stays") {
		t.Errorf("got %v", err)
	}
	fails = nil
	if err := p.Remove(t.Context(), sys, "pace-alice"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unit is there: %v", err)
	}
	if err := openrc().Install(t.Context(), sys, alice()); err == nil || !strings.Contains(err.Error(), "only systemd") {
		t.Errorf("got %v", err)
	}
}

func TestBadServices(t *testing.T) {
	for name, spoil := range map[string]func(*Service){
		"name":     func(s *Service) { s.Name = "a/b" },
		"user":     func(s *Service) { s.User = "" },
		"option":   func(s *Service) { s.User = "-x" },
		"newline":  func(s *Service) { s.Path = "/bin\nExecStart=/x" },
		"relative": func(s *Service) { s.Home = "x" },
		"quote":    func(s *Service) { s.Exe = `/a"b/pace` },
		"no exe":   func(s *Service) { s.Exe = "" },
	} {
		s := alice()
		spoil(&s)
		for _, p := range []Platform{systemd(), openrc(), launchd()} {
			if text, err := p.Text(s); err == nil {
				t.Errorf("%s: %s makes\n%s", name, p.Name, text)
			}
		}
	}
}
