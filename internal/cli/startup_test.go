package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// at runs a command that needs no daemon.
func (f *fake) at(environ []string, args ...string) result {
	return f.with(f.t.Context(), Options{Dir: "/", Exe: "/opt/pace", Environ: environ}, args...)
}

func TestStartupPrintsTheUnit(t *testing.T) {
	f := newFake(t, nil)
	for _, c := range []struct {
		args, environ string
		want          []string
	}{
		{"startup systemd --print -u root --hp /home/x", "PATH=/a:/b", []string{
			"\nUser=root\n", "\nPIDFile=/home/x/.paceline/keeper.pid\n", "\"PATH=/a:/b\"", "ExecStart=-/opt/pace resurrect\n", "After=network.target\n",
		}},
		{"startup systemd --print -u root --wait-ip", "PATH=/a PACELINE_HOME=/set", []string{
			"\"PACELINE_HOME=" + f.home + "\"", "network-online.target",
		}},
		{"startup --print openrc", "USER=root HOME=/root", []string{"su -s /bin/sh root"}},
		{"startup --print macos --service-name mine", "LOGNAME=root", []string{"<string>mine</string>"}},
	} {
		r := f.at(strings.Fields(c.environ), strings.Fields(c.args)...)
		for _, want := range c.want {
			if r.exit != 0 || !strings.Contains(r.stdout, want) {
				t.Errorf("%s: no %q in %d %s%s", c.args, want, r.exit, r.stdout, r.stderr)
			}
		}
	}
}

func TestStartupRefuses(t *testing.T) {
	f := newFake(t, nil)
	for args, mention := range map[string]string{
		"startup frob":                    `"frob"`,
		"startup upstart":                 "only systemd, openrc, launchd",
		"startup systemd x":               "one word too many",
		"startup systemd -u no-such-user": "--hp names it",
		"startup systemd -u a/b":          "--user",
		"startup systemd --print --service-name ../x -u root":                "cannot name a service",
		"unstartup systemd -u root --service-name pace-none --root /nowhere": "pace-none",
		"startup openrc -u root --root /nowhere":                             "only systemd",
	} {
		if r := f.at([]string{"PATH=/nowhere"}, strings.Fields(args)...); r.exit != 1 || !strings.Contains(r.stderr, mention) {
			t.Errorf("%s: got %d %s%s, want a mention of %q", args, r.exit, r.stdout, r.stderr, mention)
		}
	}
}

// The path of a link on PATH stays when the next version is installed.
func TestStablePath(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"bin", "v1", "other"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, link := filepath.Join(dir, "v1", "pace"), filepath.Join(dir, "bin", "pace")
	for _, file := range []string{exe, filepath.Join(dir, "other", "pace")} {
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../v1/pace", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "bin"):                                     link,
		filepath.Join(dir, "other") + ":" + filepath.Join(dir, "bin"): exe,
		"": exe,
	} {
		if got := stable(exe, path); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
}

func TestQuoteWord(t *testing.T) {
	for word, want := range map[string]string{"": "''", "/a/b-c_1.d": "/a/b-c_1.d", "a b": "'a b'", "$x": "'$x'", "it's": `'it'\''s'`} {
		if got := quoteWord(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
