package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// world is a repository, a clone of it in which one works, and a place to deploy to.
type world struct {
	t                 *testing.T
	dir, origin, work string
	environ           []string
	config            Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not on PATH; install the package git")
	}
	dir := t.TempDir()
	w := &world{t: t, dir: dir, origin: filepath.Join(dir, "origin.git"), work: filepath.Join(dir, "work")}
	w.environ = []string{
		"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + dir, "SHELL=/bin/sh", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_DIR=/nowhere",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	w.config = Config{
		Host: List{"localhost"}, Repo: w.origin, Path: filepath.Join(dir, "it's the app"), Ref: "origin/main",
		PostDeploy: "cat version",
	}
	w.git(dir, "init", "-q", "--bare", "-b", "main", w.origin)
	w.git(dir, "clone", "-q", w.origin, w.work)
	w.git(w.work, "checkout", "-q", "-B", "main")
	w.release("one")
	return w
}

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, Options{Environ: w.environ}.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// release pushes a commit whose file "version" says text.
func (w *world) release(text string) {
	w.t.Helper()
	w.write("version", text+"\n")
	w.git(w.work, "add", "-A")
	w.git(w.work, "commit", "-q", "-m", "release "+text)
	w.git(w.work, "push", "-q", "origin", "main")
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.work, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(force bool, words ...string) (out string, err error) {
	w.t.Helper()
	o := Options{Force: force, File: "app's.json", Env: "production", Dir: w.work, Environ: w.environ}
	if len(words) > 0 {
		o.Command, o.Args = words[0], words[1:]
	}
	var b bytes.Buffer
	o.Stdout, o.Stderr = &b, &b
	err = Run(w.t.Context(), w.config, o)
	return b.String(), err
}

func (w *world) ok(words ...string) string {
	w.t.Helper()
	out, err := w.run(false, words...)
	if err != nil {
		w.t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return out
}

func (w *world) fails(mention string, words ...string) {
	w.t.Helper()
	out, err := w.run(false, words...)
	if err == nil || !strings.Contains(err.Error()+out, mention) {
		w.t.Errorf("%q: got %v\n%s\nwant a mention of %q", words, err, out, mention)
	}
}

func contains(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			t.Errorf("no %q in\n%s", text, got)
		}
	}
}

func (w *world) deployed() string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.config.Path, "current", "version"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestDeployHere(t *testing.T) {
	w := newWorld(t)
	w.fails("run the command setup first")
	w.fails("run the command setup first", "exec", "true")
	w.ok("setup")
	for _, name := range []string{"shared/logs", "shared/pids", "source/.git", "current/version"} {
		if _, err := os.Stat(filepath.Join(w.config.Path, name)); err != nil {
			t.Error(err)
		}
	}
	w.fails("there already", "setup")
	w.fails("there are 0 deployments", "curr")

	contains(t, w.ok(), "\none\n", "deployed ", "release one")
	w.release("two")
	contains(t, w.ok("update"), "\ntwo\n")
	w.release("three")
	w.ok("deploy")
	if got := w.deployed(); got != "three" {
		t.Errorf("got %q", got)
	}
	contains(t, w.ok("list"), "release one", "release two", "release three")
	curr, prev := w.ok("curr"), w.ok("prev")
	head := w.git(w.work, "rev-parse", "--short", "HEAD")
	if strings.TrimSpace(curr) != head || curr == prev {
		t.Errorf("curr %q, prev %q, want %q first", curr, prev, head)
	}

	w.ok("revert", "2")
	if got := w.deployed(); got != "one" {
		t.Errorf("after revert 2: %q", got)
	}
	w.ok("revert")
	if got := w.deployed(); got != "three" {
		t.Errorf("after the next revert: %q", got)
	}
	w.fails("there are 5 deployments", "revert", "5")
	if got := w.deployed(); got != "three" {
		t.Errorf("after a revert that failed: %q", got)
	}
	if got := w.ok("exec", "cat version; echo", "$HOME"); got != "three\n"+w.dir+"\n" {
		t.Errorf("exec: got %q", got)
	}
	w.fails("exit status 3", "run", "exit 3")
}

func TestRefs(t *testing.T) {
	w := newWorld(t)
	w.config.Ref = "main" // a local branch of that name does not move
	w.ok("setup")
	w.git(w.work, "tag", "v1")
	w.git(w.work, "push", "-q", "--tags")
	w.release("two")
	w.ok()
	if got := w.deployed(); got != "two" {
		t.Errorf("main: got %q", got)
	}
	w.ok("ref", "v1")
	if got := w.deployed(); got != "one" {
		t.Errorf("v1: got %q", got)
	}
	w.fails("no branch, tag or commit nothing", "ref", "nothing")
	w.fails(`"--hard" is not`, "ref", "--hard")
	w.fails("name a branch", "ref")
	w.fails("one word too many", "list", "x")
	w.fails("not a number", "revert", "0")
	w.fails(`unknown command "frob"`, "frob")
}

func TestFast(t *testing.T) {
	w := newWorld(t)
	for text := range strings.SplitSeq("abcdefgh", "") {
		w.release(text)
	}
	w.config.Fetch, w.config.Repo = "fast", "file://"+w.origin
	w.ok("setup")
	if got := w.git(filepath.Join(w.config.Path, "source"), "rev-list", "--count", "HEAD"); got != "5" {
		t.Errorf("got %s commits, want 5", got)
	}
	w.release("new")
	w.ok()
	if got := w.deployed(); got != "new" {
		t.Errorf("got %q", got)
	}
}

func TestHooksAndEnvironment(t *testing.T) {
	w := newWorld(t)
	w.config.Env = map[string]Text{"GREETING": `it's "$HOME" \n`, "N": "1"}
	w.config.PreSetup = `printf 'pre-setup: %s' "$GREETING"`
	w.config.PostSetup = "echo post-setup in `basename \"$PWD\"`"
	w.config.PreDeployLocal = `echo "pre-deploy-local in $(basename "$PWD") $N"`
	w.config.PreDeploy = "echo pre-deploy of $(cat version)"
	w.config.PostDeploy = "echo post-deploy of $(cat version)"
	contains(t, w.ok("setup"), `pre-setup: it's "$HOME" \n`, "post-setup in source")
	w.release("two")
	contains(t, w.ok(), "pre-deploy-local in work 1", "pre-deploy of one", "post-deploy of two")

	w.config.PreDeploy = "exit 4"
	w.release("three")
	w.fails("pre-deploy failed")
	w.config.PreDeploy, w.config.PreDeployLocal = "", "exit 4"
	w.fails("on this machine")
	if got := w.deployed(); got != "two" {
		t.Errorf("a hook failed, and %q is deployed", got)
	}
	w.config.PreDeployLocal, w.config.PostDeploy = "", ""
	w.bin("pace", "printf '<%s>' \"$@\"\n")
	contains(t, w.ok(), "<startOrRestart><app's.json><--env><production>")
}

// bin puts a program on PATH.
func (w *world) bin(name, script string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Join(w.dir, "bin"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "bin", name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

func TestLocalChanges(t *testing.T) {
	w := newWorld(t)
	w.ok("setup")
	w.write("new", "not known to git")
	w.ok()
	w.write("version", "changed\n")
	w.fails("not committed")
	w.git(w.work, "commit", "-qam", "local")
	w.fails("not pushed")
	if out, err := w.run(true); err != nil || w.deployed() != "one" {
		t.Errorf("forced: %v %q\n%s", err, w.deployed(), out)
	}
	w.ok("list") // looks only
	w.git(w.work, "push", "-q", "origin", "main")
	w.ok()
	w.work = w.dir // no repository
	w.ok()
}

func TestOverSSH(t *testing.T) {
	w := newWorld(t)
	log := filepath.Join(w.dir, "ssh.log")
	// As sshd: the last word goes to the user's shell, in their home folder.
	w.bin("ssh", `for a; do printf '<%s>' "$a" | head -n 1; done >> "`+log+`"
for a; do host=$script; script=$a; done
case $host in *bad*) echo no route >&2; exit 255;; esac
cd "$HOME" && exec sh -c "$script"
`)
	w.config.Host = List{"a.example", "b.example"}
	w.config.User, w.config.Port, w.config.Key = "me", "2222", "/k e/y"
	w.config.SSHOptions, w.config.ForwardAgent, w.config.NeedsTTY = List{"StrictHostKeyChecking=no"}, true, true
	w.config.Path = "~/app in it"
	w.config.PostDeploy = "echo $(pwd)"
	out, err := w.run(false, "setup")
	if err == nil || !strings.Contains(err.Error(), "setup on b.example") { // both are one machine here
		t.Errorf("got %v\n%s", err, out)
	}
	contains(t, w.ok(), "--> host a.example", "--> host b.example", w.dir+"/app in it/source")
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, strings.ReplaceAll(string(got), "\n", ""),
		"<-o><StrictHostKeyChecking=no><-p><2222><-i></k e/y><-A><-t><--><me@a.example><exec sh -c ", "<me@b.example>")

	w.config.Host = List{"bad.example", "b.example"}
	w.fails("could not connect", "list")
	w.fails("left out: b.example", "list")
	w.config.Host = List{"a.example"}
	w.fails("exit status 3", "exec", "exit 3")
}

func TestParse(t *testing.T) {
	const rest = `"repo":"git@example.com:a/b.git","path":"/srv/a","ref":"origin/main"`
	c, unknown, err := Parse([]byte(`{"host":["a","b"],"port":22,"ssh_options":"X=y","forward-agent":true,"env":{"N":1,"B":true,"T":"x"},"frob":1,"post-deploy":"x",` + rest + `}`))
	if err != nil || len(unknown) != 1 || unknown[0] != "frob" {
		t.Fatal(err, unknown)
	}
	if len(c.Host) != 2 || c.Port != "22" || c.SSHOptions[0] != "X=y" || !c.ForwardAgent || c.Env["N"] != "1" || c.Env["B"] != "true" || c.PostDeploy != "x" {
		t.Errorf("got %+v", c)
	}
	for section, mention := range map[string]string{
		`[]`:                                                                   "want an object",
		`null`:                                                                 "want an object",
		`{` + rest + `}`:                                                       "host is missing",
		`{"host":"a","repo":"b"}`:                                              "path is missing",
		`{"host":"-oX",` + rest + `}`:                                          "host",
		`{"host":"a b",` + rest + `}`:                                          "host",
		`{"host":1,` + rest + `}`:                                              "host: want a text or a list",
		`{"host":"a","user":"-l",` + rest + `}`:                                "user",
		`{"host":"a","port":"x",` + rest + `}`:                                 "port",
		`{"host":"a","port":[],` + rest + `}`:                                  "port",
		`{"host":"a","key":1,` + rest + `}`:                                    "key: want a string",
		`{"host":"a","fetch":"slow",` + rest + `}`:                             "fetch",
		`{"host":"a","env":{"A B":"x"},` + rest + `}`:                          "env",
		`{"host":"a","repo":"-x","path":"/a","ref":"main"}`:                    "repo",
		`{"host":"a","repo":"x","path":"a","ref":"main"}`:                      "path",
		`{"host":"a","repo":"x","path":"/a","ref":"--upload-pack=x"}`:          "ref",
		`{"host":"a","repo":"x","path":"/a","ref":"a..b"}`:                     "ref",
		`{"host":"a","repo":"x","path":"/a","ref":"main:other"}`:               "ref",
		"{\"host\":\"a\",\"repo\":\"x\\ny\",\"path\":\"/a\",\"ref\":\"main\"}": "repo",
	} {
		if _, _, err := Parse([]byte(section)); err == nil || !strings.Contains(err.Error(), mention) {
			t.Errorf("%s: got %v, want a mention of %q", section, err, mention)
		}
	}
}

// Whatever passes may stand on ssh's and git's command lines.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"host":["a","b"],"port":22,"repo":"x","path":"~/a","ref":"main","env":{"A":1}}`))
	f.Add([]byte(`{"host":"localhost","repo":"x","path":"/a","ref":"-x"}`))
	f.Fuzz(func(t *testing.T, section []byte) {
		c, _, err := Parse(section)
		if err != nil {
			return
		}
		for _, text := range append(List{c.Repo, c.Path, c.Ref}, c.Host...) {
			if text == "" || text[0] == '-' || strings.ContainsAny(text, "\x00\n") {
				t.Fatalf("%q passes", text)
			}
		}
	})
}

// A quoted text comes out of a shell as it was.
func TestQuote(t *testing.T) {
	for _, text := range []string{"", "a b", "it's", `"$HOME" \n`, "'; rm -rf /; '", "new\nline", "`x`", "*"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q: got %q, %v", text, out, err)
		}
	}
}
