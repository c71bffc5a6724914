package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"paceline/internal/e2e/sandbox"
	"paceline/internal/e2e/screen"
)

// monitTalker writes what a careless program may, then a line whenever it is told to.
const monitTalker = `#!/bin/sh
echo "begin of talker"
printf 'wide: 日本語 👍🏽 ❤️ 👨‍👩‍👧 end\n'
printf '\033[2J\033[H\033[31mred\033[0m \033]0;title\007 bell \007 tab\tend \377\n'
while read -r line; do
	case $line in
	bad*) echo "$line" >&2 ;;
	*) echo "$line" ;;
	esac
done
exec sleep 1000000
`

// dashboard is `pace monit` on a terminal, in a home with a few apps.
type dashboard struct {
	*screen.Screen
	t   *testing.T
	box *sandbox.Sandbox
	ctx context.Context
}

func startApps(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	box := newSandbox(t, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "TERM_PROGRAM=", "NO_COLOR=")
	script := filepath.Join(box.Dir, "talker")
	if err := os.WriteFile(script, []byte(monitTalker), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"start", script, "--name", "talker"},
		{"start", "sleep 1000000", "--name", "pair", "-i", "2"},
		{"start", script, "--name", "日本語 name"},
	} {
		if out, err := box.Pace(t.Context(), args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return box
}

// show runs the dashboard.
func show(t *testing.T, box *sandbox.Sandbox, width, height int, env ...string) *dashboard {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	cmd := box.Command(ctx, "monit")
	cmd.SysProcAttr = nil // the terminal's
	cmd.Env = append(cmd.Env, env...)
	s, err := screen.Start(cmd, width, height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &dashboard{s, t, box, ctx}
}

// has waits until all words are on the screen.
func (d *dashboard) has(words ...string) string {
	d.t.Helper()
	text, err := d.Wait(d.ctx, func(text string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
	if err != nil {
		d.t.Fatalf("wait for %q: %v; the screen:\n%s", words, err, text)
	}
	return text
}

// lacks waits until word has gone from the screen.
func (d *dashboard) lacks(word string) {
	d.t.Helper()
	if text, err := d.Wait(d.ctx, func(text string) bool { return !strings.Contains(text, word) }); err != nil {
		d.t.Fatalf("wait for the end of %q: %v; the screen:\n%s", word, err, text)
	}
}

func (d *dashboard) press(keys string) {
	d.t.Helper()
	if err := d.Type(keys); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dashboard) pace(args ...string) {
	d.t.Helper()
	if out, err := d.box.Pace(d.ctx, args...); err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
}

// pid is the process of an instance.
func (d *dashboard) pid(id int) int {
	d.t.Helper()
	list, err := d.box.Instances(d.ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, in := range list {
		if in.ID == id {
			return in.PID
		}
	}
	return 0
}

// leaves presses q, after which the terminal is as it was.
func (d *dashboard) leaves(keys string, status int) {
	d.t.Helper()
	d.press(keys)
	d.restored(status)
}

func (d *dashboard) restored(status int) {
	d.t.Helper()
	got, err := d.Exit(d.ctx)
	if err != nil || got != status {
		d.t.Errorf("exit status %d, %v, want %d", got, err, status)
	}
	if raw, err := d.Raw(); raw || err != nil || d.Whole() {
		d.t.Errorf("the terminal is left raw %v, its screen taken %v, %v", raw, d.Whole(), err)
	}
}

// figures are what differs from run to run: each is replaced by as many signs.
var figures = []struct {
	what *regexp.Regexp
	sign string
}{
	{regexp.MustCompile(`[▁▂▃▄▅▆▇█]+`), " "},
	{regexp.MustCompile(` *\d+(\.\d)?(%|[kmg]?b\b)`), "#"},
	{regexp.MustCompile(`( *\d+[smhD])\b`), "#"},
}

// atEnd are those at the end of a line, whose length may differ as well.
var atEnd = regexp.MustCompile(`(?m)(│ (?:pid|up) +)\d+[smhD]?$`)

// paths are all lines of the information that is known about an app's configuration.
var paths = regexp.MustCompile(`(?s)(│ app\n)(.*)(\n[^\n]*\n)$`)

func normalised(text string) string {
	text = atEnd.ReplaceAllString(text, "$1#")
	if at := paths.FindStringSubmatchIndex(text); at != nil {
		rest := strings.Split(text[at[4]:at[5]], "\n")
		for i, line := range rest {
			rest[i] = line[:strings.LastIndex(line, "│")+len("│")]
		}
		text = text[:at[4]] + strings.Join(rest, "\n") + text[at[5]:]
	}
	for _, f := range figures {
		text = f.what.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat(f.sign, utf8.RuneCountInString(s)) })
	}
	return text
}

func goldenScreen(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata/screens", name)
	text = normalised(text)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", file, text, want)
	}
}

func TestMonitScreens(t *testing.T) {
	t.Parallel()
	box := startApps(t)
	for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 20}} {
		for _, env := range []string{"NO_COLOR=", "NO_COLOR=1"} {
			d := show(t, box, size[0], size[1], env)
			// Nothing else changes once the figures, the information and the logs are there.
			text := d.has("4 online", "wide: 日本語 👍 ❤ 👨👩👧 end", "red  bell   tab end")
			if size[0] >= 72 {
				text = d.has("red  bell", "script")
			}
			goldenScreen(t, fmt.Sprintf("%dx%d.txt", size[0], size[1]), text)
			if want := env == "NO_COLOR="; d.Coloured() != want {
				t.Errorf("%v %s: coloured is %v", size, env, d.Coloured())
			}
			d.press("?")
			d.has("any key goes back")
			d.leaves("qq", 0)
		}
	}
}

func TestMonitResizes(t *testing.T) {
	t.Parallel()
	d := show(t, startApps(t), 120, 40)
	d.has("script", "restart R reload", "tab pane")
	if err := d.Resize(40, 20); err != nil {
		t.Fatal(err)
	}
	d.lacks("script")
	d.has("talker", "red  bell", "? help")
	if err := d.Resize(10, 5); err != nil {
		t.Fatal(err)
	}
	d.has("too small")
	if err := d.Resize(120, 40); err != nil {
		t.Fatal(err)
	}
	d.has("script", "tab pane")
	d.leaves("q", 0)
}

func TestMonitActs(t *testing.T) {
	t.Parallel()
	d := show(t, startApps(t), 100, 30)
	d.has("talker", "red  bell")
	before := d.pid(0)
	d.press("r")
	d.has("restart talker?", "y/n")
	d.press("n")
	d.has("not done")
	if d.pid(0) != before {
		t.Error("restarted although the answer was no")
	}
	d.press("ry")
	d.has("restart talker: done")
	if after := d.pid(0); after == before || after == 0 {
		t.Errorf("the process is %d, was %d", after, before)
	}
	d.press("jR")
	d.has("reload pair (2 instances)?")
	before = d.pid(1)
	d.press("y")
	d.has("reload pair (2 instances): done")
	if after := d.pid(1); after == before || after == 0 {
		t.Errorf("the process is %d, was %d", after, before)
	}
	d.press("+y")
	d.has("scale pair from 2 to 3: done", "[2]")
	d.press("-")
	d.has("scale pair from 3 to 2?")
	d.press("y")
	d.has("scale pair from 3 to 2: done")
	d.lacks("[2]")
	d.press("sy")
	d.has("stop pair (2 instances): done", "0/2 up")
	d.press("Sy")
	d.has("start pair (2 instances): done", "4 online")
	d.leaves("\x03", 0)
}

// What happens from elsewhere is there without a key.
func TestMonitFollows(t *testing.T) {
	t.Parallel()
	d := show(t, startApps(t), 100, 30)
	d.has("red  bell", "4 online")
	d.pace("send", "talker", "live from afar")
	d.has("live from afar")
	d.press("/LIVE\r")
	d.has("no line passes the filter", "/LIVE/")
	d.press("/\x15live|begin\r")
	d.lacks("red  bell")
	d.has("live from afar", "begin of talker")
	d.press(" ")
	d.has("paused")
	d.pace("send", "talker", "live again")
	d.has("paused, 1 more")
	if strings.Contains(d.Text(), "live again") {
		t.Error("a line is shown although the logs are paused")
	}
	d.press(" ")
	d.has("live again")
	d.press("\x1b")
	d.has("red  bell")
	d.pace("send", "talker", "bad news")
	d.has("! bad news")
	d.pace("stop", "pair")
	d.has("0/2 up")
	d.pace("delete", "pair")
	d.lacks("pair")
	d.press("fzz")
	d.has("no app is called zz")
	d.press("\x1b") // and wait: with the next key it would be another one
	d.lacks("no app is called zz")
	d.leaves("q", 0)
}

func TestMonitOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	d := show(t, startApps(t), 100, 30)
	d.has("red  bell", "4 online")
	pid, err := d.box.DaemonPID()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := d.box.NextDaemon(d.ctx, pid); err != nil {
		t.Fatal(err)
	}
	d.pace("send", "talker", "after the daemon")
	d.has("after the daemon", "4 online")
	d.pace("kill")
	d.has("daemon gone, reconnecting")
	if text := d.Text(); !strings.Contains(text, "after the daemon") {
		t.Errorf("the logs are gone with the daemon:\n%s", text)
	}
	d.press("r")
	d.has("the daemon does not answer")
	d.pace("start", "sleep 1000000", "--name", "another")
	d.has("another", "1 app ", "1 online")
	d.leaves("q", 0)
}

func TestMonitIsSuspended(t *testing.T) {
	t.Parallel()
	box := startApps(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := box.Command(ctx)
	// Without a shell of its own there is nobody who would continue it.
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-mc", box.Bin + " monit; echo WAS SUSPENDED; read -r word; fg; echo HAS ENDED"}
	cmd.SysProcAttr = nil
	s, err := screen.Start(cmd, 80, 24)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := &dashboard{s, t, box, ctx}
	d.has("talker", "red  bell")
	d.press("\x1a")
	d.has("WAS SUSPENDED")
	if raw, err := d.Raw(); raw || err != nil || d.Whole() {
		t.Errorf("suspended, the terminal is raw %v, its screen taken %v, %v", raw, d.Whole(), err)
	}
	d.press("go\r")
	d.has("talker", "red  bell", "? help")
	d.press("q")
	d.has("HAS ENDED")
	d.restored(0)
}

func TestMonitIsTerminated(t *testing.T) {
	t.Parallel()
	box := startApps(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGINT} {
		d := show(t, box, 80, 24)
		d.has("talker", "red  bell")
		if err := syscall.Kill(d.PID(), sig); err != nil {
			t.Fatal(err)
		}
		d.restored(exitOf(sig))
	}
}

func exitOf(sig syscall.Signal) int {
	if sig == syscall.SIGHUP || sig == syscall.SIGQUIT {
		return 1
	}
	return 130
}

func TestMonitNeedsATerminal(t *testing.T) {
	t.Parallel()
	box := newSandbox(t, "TERM=xterm")
	cmd := box.Command(t.Context(), "monit")
	out, err := cmd.CombinedOutput()
	if want := "pace: monit: needs a terminal as its input and output; `pace list` prints the same once\n"; err == nil || string(out) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
	d := show(t, box, 80, 24, "TERM=dumb")
	d.has("TERM is dumb")
	d.restored(1)
}

// The screen is drawn by what has changed: a second of an idle dashboard costs less
// than one whole screen.
func TestMonitDrawsOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	d := show(t, startApps(t), 120, 40)
	d.has("script", "red  bell", "tab pane")
	before := d.Written()
	const lines = 10
	for i := range lines {
		d.pace("send", "talker", "line "+strconv.Itoa(i))
		d.has("line " + strconv.Itoa(i))
	}
	if n := (d.Written() - before) / lines; n > 120*40 {
		t.Errorf("a line costs %d bytes, a whole screen has %d cells", n, 120*40)
	}
	d.leaves("q", 0)
}
