package why

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// next says what to do.
func (s *story) next(w *api.Why) (steps []api.Step) {
	add := func(text, command string) { steps = append(steps, api.Step{Text: text, Command: command}) }
	name := word(s.name)
	st := &s.Status
	if st.State == app.Stopped && (w.What == "" || s.trouble == nil) {
		add("to have it run", "pace restart "+name)
		return steps
	}
	if dep := s.waitsFor(); dep != "" {
		add("see why "+dep+" is not up, on which it depends", "pace why "+word(dep))
		return steps
	}
	for _, r := range remedies() {
		if text, command, ok := r(s, w); ok {
			add(text, command)
			break
		}
	}
	for _, c := range st.Checks {
		if !c.OK {
			add("ask as its "+c.Name+" check does", s.check(c.Name))
		}
	}
	if len(w.Changed) > 0 && w.Crashes > 0 && strings.HasPrefix(w.Changed[0], "version: ") {
		add("compare with the version that ran well, which "+w.Changed[0][len("version: "):]+" tells", "")
	}
	if len(steps) == 0 || len(w.Stderr) > 0 {
		add("read what it wrote", "pace logs "+name+" --err --lines 100 --nostream")
	}
	if st.State == app.Errored {
		add("then start it again", "pace restart "+name)
	}
	return steps
}

// waitsFor is the app that it waits for, "" if it does not.
func (s *story) waitsFor() string {
	for _, d := range s.Spec.DependsOn {
		if s.Status.State == app.Waiting && strings.HasPrefix(s.Status.Reason, "waits for "+d.App) {
			return d.App
		}
	}
	return ""
}

// check is a command that asks what a health check asks.
func (s *story) check(name string) string {
	c := s.Spec.Health.Checks()[name]
	switch {
	case c == nil:
		return ""
	case c.HTTP != "":
		return "curl -sv " + word(c.HTTP)
	case c.TCP != "":
		host, port, ok := strings.Cut(c.TCP, ":")
		if !ok {
			return ""
		}
		return "nc -zv " + word(host) + " " + word(port)
	}
	var words []string
	for _, w := range c.Exec {
		words = append(words, word(w))
	}
	return strings.Join(words, " ")
}

// remedy finds out whether it knows a trouble, and what helps.
type remedy func(s *story, w *api.Why) (text, command string, ok bool)

// saying is a remedy for what a program says before it ends. In text and command $1
// stands for what the pattern's first group has found.
func saying(pattern, text, command string) remedy {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(s *story, w *api.Why) (string, string, bool) {
		words := w.Stderr
		if w.Exit != nil {
			words = append([]string{w.Exit.Error}, words...)
		}
		for _, line := range append(words, s.Status.Reason) {
			m := compiled().FindStringSubmatch(line)
			if m == nil {
				continue
			}
			found := ""
			if len(m) > 1 {
				found = m[1]
			}
			fill := strings.NewReplacer("$1", found, "$NAME", word(s.name), "$CWD", word(s.Spec.Cwd), "$EXEC", word(s.Spec.Exec))
			return fill.Replace(text), fill.Replace(command), true
		}
		return "", "", false
	}
}

// remedies are tried in order: what is more certain comes first.
func remedies() []remedy {
	return []remedy{
		func(s *story, w *api.Why) (string, string, bool) {
			if s.trouble == nil || s.trouble.Type != app.EventHang {
				return "", "", false
			}
			if m := reportFile().FindString(s.trouble.Detail); m != "" {
				return "look where it stood still: its stacks were saved", "less " + word(m), true
			}
			return "look at what it did then", "pace logs " + word(s.name) + " --lines 100 --nostream", true
		},
		func(s *story, _ *api.Why) (string, string, bool) {
			if s.trouble == nil || s.trouble.Type != app.EventReloadFailed {
				return "", "", false
			}
			return "mend the release and reload again; what it wrote:", "pace logs " + word(s.name) + " --err --lines 100 --nostream", true
		},
		func(s *story, w *api.Why) (string, string, bool) {
			oom := w.Exit != nil && w.Exit.OOM
			if s.trouble == nil || s.trouble.Type != app.EventMemory && !oom {
				return "", "", false
			}
			if oom && s.Spec.Limits != nil && s.Spec.Limits.MemoryBytes > 0 {
				return "give it more memory (limits: memory), or find out what grows", "pace show " + word(s.name), true
			}
			if oom {
				return "see what else uses the machine's memory, and bound the app before the kernel does: max_memory_restart", "free -m; ps aux --sort=-rss | head", true
			}
			return "find the leak, or raise max_memory_restart", "pace show " + word(s.name), true
		},
		saying(`(?:EADDRINUSE|[Aa]ddress (?:is )?already in use|[Aa]ddress in use).*?:(\d{1,5})\b`,
			"see who has port $1, and stop that or choose another port", "ss -ltnp 'sport = :$1'"),
		saying(`:(\d{1,5}):.*(?:[Aa]ddress already in use|EADDRINUSE)`,
			"see who has port $1, and stop that or choose another port", "ss -ltnp 'sport = :$1'"),
		saying(`EADDRINUSE|[Aa]ddress (?:is )?already in use`, "see who has its address, and stop that or choose another one", "ss -ltnp"),
		saying(`EACCES.*?:(\d{1,3})\b|bind: permission denied`, "a port below 1024 needs a right: use a higher one, or run as root", ""),
		saying(`Cannot find (?:module|package) '(\.{0,2}/[^']*)'`, "a file of the program is missing: $1", "ls -l $CWD"),
		saying(`Cannot find (?:module|package) '([^']+)'`, "a package is missing: $1", "cd $CWD && npm install"),
		saying(`(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)`, "a Python package is missing: $1", "cd $CWD && python3 -m pip install -r requirements.txt"),
		saying(`cannot load such file -- (\S+)`, "a Ruby library is missing: $1", "cd $CWD && bundle install"),
		saying(`(\S+): (?:command )?not found`, "a command is missing on its PATH: $1", "pace env $NAME"),
		saying(`no such file or directory|executable file not found`, "the program or its folder is missing", "ls -ld $CWD $EXEC"),
		saying(`exec format error`, "it is no program of this machine, or a script without a #! line", "file $EXEC"),
		saying(`SyntaxError|IndentationError`, "the code cannot be read; see the line that it names", "pace logs $NAME --err --lines 40 --nostream"),
		saying(`JavaScript heap out of memory`, "Node's own bound on memory was met: raise it, or find what grows", "pace start $EXEC --name $NAME --node-args=--max-old-space-size=4096 --force"),
		saying(`ECONNREFUSED\s*(\S*:\d+)?`, "what it connects to does not listen: $1", "ss -ltn"),
		saying(`(?:getaddrinfo )?(?:ENOTFOUND|EAI_AGAIN) (\S+)`, "the name $1 cannot be looked up", "getent hosts $1"),
		saying(`EMFILE|[Tt]oo many open files`, "it has no descriptors left: raise the limit (ulimit -n) or find the leak", "ls /proc/$(pace pid $NAME)/fd | wc -l"),
		saying(`ENOSPC|[Nn]o space left on device`, "the disk is full", "df -h $CWD"),
		saying(`EACCES|EPERM|[Pp]ermission denied`, "it may not do what it wants to: see its files and its account", "ls -ld $CWD $EXEC"),
		func(s *story, w *api.Why) (string, string, bool) {
			if w.Exit == nil || w.Exit.Signal == "" || !strings.Contains(w.Cause, "outside") {
				return "", "", false
			}
			from := w.At.Add(-time.Minute).In(s.Location).Format(time.DateTime)
			return "look for who sent it: scripts and people (kill, pkill, systemctl), an OOM daemon (systemd-oomd, earlyoom), the container", fmt.Sprintf("journalctl --since '%s'", from), true
		},
		func(s *story, w *api.Why) (string, string, bool) {
			if w.Exit == nil || w.Exit.Error != "" || w.Exit.Signal != "" || w.Exit.Code != 0 {
				return "", "", false
			}
			return "it ends by itself and is restarted: is it a server that stays? If it is done then, say so", "pace start " + word(s.Spec.Exec) + " --name " + word(s.name) + " --no-autorestart --force", true
		},
		func(s *story, _ *api.Why) (string, string, bool) {
			if s.Status.State != app.Online || !strings.HasPrefix(s.Status.Reason, "not ready within") {
				return "", "", false
			}
			return "see what it waits for at its start; if it needs longer: listen_timeout", "pace logs " + word(s.name) + " --lines 50 --nostream", true
		},
	}
}

// reportFile finds the path of a saved report.
var reportFile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`/\S*/reports/[^\s,;]+`) })

// word quotes what a shell would take apart.
func word(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
