package watch

import (
	"regexp"
	"strings"
	"testing"
)

func TestIgnored(t *testing.T) {
	const base = "/home/u/.config/app"
	for _, c := range []struct {
		ignore []string
		yes    []string // relative to base, or absolute
		no     []string
	}{
		{nil, []string{".git", ".env", "a/.x", "node_modules", "a/b/node_modules"}, []string{"a", "a/b.js", "node_modules.js"}},
		{[]string{}, nil, []string{".git", "node_modules", "a"}},
		{[]string{"logs"}, []string{"logs", "a/logs"}, []string{"logs.js", ".git", "node_modules", "alogs"}},
		{[]string{"*.log", "*.tmp"}, []string{"a.log", "x/y/a.log", "a.tmp"}, []string{"a.log.js", "log"}},
		{[]string{"client/img", "./tmp/", "data/**"}, []string{"client/img", "tmp", "x/tmp", "data", "data/x", "data/x/y"}, []string{"x/client/img", "client", "tmpx"}},
		{[]string{"**/gen/*.go"}, []string{"gen/a.go", "x/y/gen/a.go"}, []string{"gen", "gen/x/a.go"}},
		{[]string{base + "/logs", "/srv/up/*"}, []string{"logs", "/srv/up/x"}, []string{"x/logs", "/srv/up"}},
		{[]string{base + "/img", base + "/i", "/srv/img"}, []string{"img", "i", "/srv/img"}, []string{"x.img", "/srv/a"}},
		{[]string{"../shared/cache"}, []string{"/home/u/.config/shared/cache"}, []string{"shared/cache"}},
		{[]string{`\.git`}, []string{".git", "x/.git"}, []string{"xgit"}},
		{[]string{`[\/\\]\.`}, []string{".git", "a/.x"}, []string{"a", "a.b"}},
		{[]string{`/[\/\\]\./`, "/node_modules/"}, []string{".git", "node_modules", "x/node_modules"}, []string{"a", "a.b"}},
		{[]string{`/\.(TMP|bak)$/i`}, []string{"a.tmp", "x/a.BAK"}, []string{"a.tmpx"}},
		{[]string{`/^src\/gen/`}, []string{"src/gen", "src/gen.js"}, []string{"x/src/gen", "src"}},
		{[]string{"data", "!data", "*.js", "!keep.js"}, []string{"a.js"}, []string{"data", "keep.js", "x/keep.js"}},
		{[]string{"[id].js", `\[id\].js`}, []string{"i.js", "[id].js"}, []string{"x.js"}},
	} {
		f, err := newFilter(Rule{Base: base, Ignore: c.ignore})
		if err != nil {
			t.Errorf("%q: %v", c.ignore, err)
			continue
		}
		check := func(list []string, want bool) {
			for _, p := range list {
				root := "/srv"
				if !strings.HasPrefix(p, "/") {
					p, root = base+"/"+p, base
				}
				if got := f.ignored(p, root); got != want {
					t.Errorf("%q: %s ignored: %v, want %v", c.ignore, p, got, want)
				}
			}
		}
		check(c.yes, true)
		check(c.no, false)
	}
}

func TestOwnFiles(t *testing.T) {
	f, err := newFilter(Rule{Base: "/srv", Ignore: []string{}, Own: []string{"/srv/logs/api.log", "/srv/run"}})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{
		"/srv/logs/api.log": true, "/srv/logs/api.log.1": true, "/srv/logs/api.log.20.gz": true, "/srv/logs/api.log.3.gz.tmp": true,
		"/srv/run": true, "/srv/run/x": true, "/srv/run.js": false, "/srv/logs/api.log.js": false, "/srv/logs": false, "/srv/logs/api.logs": false,
	} {
		if got := f.ignored(p, "/srv"); got != want {
			t.Errorf("%s ignored: %v, want %v", p, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Paths: []string{"src"}}, `watch "src": not an absolute path`},
		{Rule{Paths: []string{"/x/[a"}}, `watch "/x/[a": not a valid glob`},
		{Rule{Base: "x"}, `watch in "x": not an absolute path`},
		{Rule{Own: []string{"x"}}, `watch "x": not an absolute path`},
		{Rule{Delay: -1}, "watch delay is negative"},
		{Rule{Ignore: []string{""}}, `ignore_watch "": names nothing`},
		{Rule{Ignore: []string{"a["}}, `ignore_watch "a[": not a valid glob`},
		{Rule{Ignore: []string{`/a(?=b)/`}}, `ignore_watch "/a(?=b)/": not a regular expression`},
		{Rule{Ignore: []string{`/a+/x`}}, `ignore_watch "/a+/x": flag 'x'`},
		{Rule{Ignore: []string{strings.Repeat("{a,b}", 20)}}, `ignore_watch "` + strings.Repeat("{a,b}", 20) + `": has too many`},
		{Rule{Paths: []string{"/" + strings.Repeat("{a,b}", 20)}}, `watch "/` + strings.Repeat("{a,b}", 20) + `": has too many`},
		{Rule{Paths: []string{"/x/**/*.js"}, Base: "/x", Ignore: []string{"a", "/b/i", "c/d"}}, ""},
	} {
		err := c.rule.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %s", c.rule, err, c.want)
		}
	}
}

func TestMayHold(t *testing.T) {
	for _, c := range []struct {
		glob, folder string
		want         bool
	}{
		{"/a/*.js", "/a/b", false},
		{"/a/*/x.js", "/a/b", true},
		{"/a/*/x.js", "/a/b/c", false},
		{"/a/**/x.js", "/a/b/c", true},
		{"/a/*/src/**", "/a/b", true},
		{"/a/*/src/**", "/a/b/src", true},
		{"/a/*/src/**", "/a/b/test", false},
		{"/a/*/src/**", "/a/b/src/x", true},
		{"/a/{b,c/d}/e", "/a/c/d", true},
	} {
		if got := mayHold(c.glob, c.folder); got != c.want {
			t.Errorf("mayHold(%s, %s) = %v", c.glob, c.folder, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"*.log", "/a/i", `[\/\\]\./`, "a/{b,c}/**", "!x", "../y", "/", "//", "./"} {
		f.Add(s, "/srv/app/a/b.log")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		filter, err := newFilter(Rule{Base: "/srv/app", Ignore: []string{text}})
		if err != nil || !regexp.MustCompile(`^(/[^/]+)+$`).MatchString(path) {
			return
		}
		filter.ignored("/srv/app"+path, "/srv/app")
		root, glob := split("/srv/app/" + text)
		if glob != "" && !strings.HasPrefix(root, "/") {
			t.Errorf("split(%q) = %q, %q", text, root, glob)
		}
	})
}
