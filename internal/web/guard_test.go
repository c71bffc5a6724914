package web

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// everyPath is one of each kind of thing that the dashboard answers.
func everyPath() []string {
	return []string{
		"/", "/js/main.js", "/app.css", "/nothing", "/api/session", "/api/stream", "/api/overview", "/api/app?app=api",
		"/api/history?app=api", "/api/events", "/api/logs?app=api", "/api/env?app=api", "/metrics",
	}
}

func everyPost() map[string]string {
	return map[string]string{
		"/api/login":      `{"token":"` + token + `"}`,
		"/api/logout":     `{}`,
		"/api/action":     `{"action":"restart","app":"api"}`,
		"/api/env/reveal": `{"app":"api","name":"STRIPE_KEY"}`,
	}
}

// A name that an attacker has pointed at this machine is answered nothing, whoever
// is signed in.
func TestHostileHost(t *testing.T) {
	s := newSite(t)
	in := s.login()
	for _, host := range []string{
		"evil.example", "evil.example:9615", "127.0.0.1.evil.example", "localhost.evil.example:9615", "", "192.0.2.7:9615", "[2001:db8::1]:9615",
		"127.0.0.1:9615@evil.example", "evil.example#127.0.0.1", "0x7f000001.evil.example",
	} {
		for _, path := range everyPath() {
			r := in.on(s.request("GET", path, ""))
			r.Host = host
			if answer, body := s.ask(r); answer.StatusCode != http.StatusMisdirectedRequest || strings.Contains(body, "api.js") {
				t.Errorf("%s as %q: %d %.80s", path, host, answer.StatusCode, body)
			}
		}
		for path, body := range everyPost() {
			r := in.on(s.request("POST", path, body))
			r.Host = host
			r.Header.Set("Origin", "http://"+host)
			if answer, _ := s.ask(r); answer.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("POST %s as %q: %d", path, host, answer.StatusCode)
			}
		}
	}
	for _, host := range []string{"127.0.0.1:9615", "localhost:9615", "LOCALHOST", "[::1]:9615", "127.0.0.1", "localhost.:8080"} {
		r := in.on(s.request("GET", "/api/session", ""))
		r.Host = host
		if answer, body := s.ask(r); answer.StatusCode != http.StatusOK {
			t.Errorf("as %q: %d %s", host, answer.StatusCode, body)
		}
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
}

// On an address that others reach, any address may be asked for, but only known names.
func TestHostElsewhere(t *testing.T) {
	cert, err := Options{Home: t.TempDir(), Listen: "0.0.0.0:9615", Names: []string{"ops.example.org"}}.Certificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ok := allowed(Options{Listen: "0.0.0.0:9615", Names: []string{"Ops.example.org"}}, false, cert.Leaf)
	for host, want := range map[string]bool{
		"ops.example.org": true, "OPS.example.org.:9615": true, "192.0.2.7:9615": true, "[2001:db8::1]": true, "localhost": true,
		"evil.example": false, "ops.example.org.evil.example": false, "": false, "*": false,
	} {
		if got := ok(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// Another site's page, also one on another port of this machine, cannot have anything
// done, nor read anything.
func TestOtherOrigins(t *testing.T) {
	s := newSite(t)
	in := s.login()
	headers := []map[string]string{
		{"Origin": "https://evil.example"},
		{"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
		{"Origin": "https://127.0.0.1:9615"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
		{}, // a browser always says where a POST comes from
	}
	for _, h := range headers {
		for path, body := range everyPost() {
			if path == "/api/login" && len(h) == 0 {
				continue // needs no session, and is answered only to who has the token
			}
			r := in.on(s.request("POST", path, body))
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
			for name, value := range h {
				r.Header.Set(name, value)
			}
			if answer, body := s.ask(r); answer.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s with %v: %d %s", path, h, answer.StatusCode, body)
			}
		}
	}
	for _, h := range headers[:5] {
		for _, path := range everyPath() {
			r := in.on(s.request("GET", path, ""))
			for name, value := range h {
				r.Header.Set(name, value)
			}
			if answer, _ := s.ask(r); answer.StatusCode != http.StatusForbidden {
				t.Errorf("GET %s with %v: %d", path, h, answer.StatusCode)
			}
		}
	}
	// A link to the page works; one to anything else does not.
	for path, want := range map[string]int{"/": http.StatusOK, "/metrics": http.StatusForbidden, "/api/session": http.StatusForbidden} {
		r := s.request("GET", path, "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		if answer, _ := s.ask(r); answer.StatusCode != want {
			t.Errorf("link to %s: %d", path, answer.StatusCode)
		}
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
}

// No GET, and no method but POST, changes anything: with every right that there is.
func TestOnlyPostsChange(t *testing.T) {
	s := newSite(t)
	in := s.login()
	for path := range everyPost() {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
			for _, query := range []string{"", "?action=restart&app=api&name=STRIPE_KEY"} {
				r := in.on(s.request(method, path+query, `{"action":"restart","app":"api"}`))
				answer, body := s.ask(r)
				if answer.StatusCode != http.StatusMethodNotAllowed && answer.StatusCode != http.StatusNotFound || strings.Contains(body, "sk_live") {
					t.Errorf("%s %s: %d %s", method, path+query, answer.StatusCode, body)
				}
			}
		}
	}
	for _, path := range everyPath() {
		if path == "/api/stream" {
			continue
		}
		s.ask(in.on(s.request("GET", path, "")))
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
}

// Nothing but the files is answered to who is not signed in, or has half a session.
func TestNeedsBothHalves(t *testing.T) {
	s := newSite(t)
	in, other := s.login(), s.login()
	bad := map[string]func(*http.Request){
		"nothing":            func(*http.Request) {},
		"the cookie alone":   func(r *http.Request) { r.AddCookie(in.cookie) },
		"the key alone":      func(r *http.Request) { r.Header.Set(keyHeader, in.key) },
		"halves of two":      func(r *http.Request) { signedIn{in.cookie, other.key}.on(r) },
		"another port's":     func(r *http.Request) { signedIn{&http.Cookie{Name: "pace-9616", Value: in.cookie.Value}, in.key}.on(r) },
		"a wrong bearer":     func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token[1:]) },
		"an empty bearer":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		"the token as basic": func(r *http.Request) { r.SetBasicAuth("", token) },
		"the token in the address": func(r *http.Request) {
			r.URL.RawQuery += "&token=" + token
			r.RemoteAddr = "127.0.0.2:1"
		},
	}
	n := 0
	for name, do := range bad {
		for _, path := range everyPath() {
			if !strings.HasPrefix(path, "/api") && path != "/metrics" {
				continue
			}
			r := s.request("GET", path, "")
			do(r)
			n++
			r.RemoteAddr = fmt.Sprintf("10.0.%d.1:1", n) // or it would be refused for trying too often
			if answer, body := s.ask(r); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d %s", path, name, answer.StatusCode, body)
			}
		}
		for path, body := range everyPost() {
			if path == "/api/login" {
				continue
			}
			r := s.request("POST", path, body)
			do(r)
			n++
			r.RemoteAddr = fmt.Sprintf("10.0.%d.1:1", n)
			if answer, body := s.ask(r); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("POST %s with %s: %d %s", path, name, answer.StatusCode, body)
			}
		}
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
	// A script needs the token alone, and no browser to vouch for it.
	r := s.request("POST", "/api/action", `{"action":"reload","app":"api"}`)
	r.Header.Del("Origin")
	r.Header.Del("Sec-Fetch-Site")
	r.Header.Set("Authorization", "Bearer "+token)
	if answer, body := s.ask(r); answer.StatusCode != http.StatusOK || s.daemon.done() != "reload [0 1]" {
		t.Errorf("with the token: %d %s, done %q", answer.StatusCode, body, s.daemon.done())
	}
}

// Wrong tokens are counted by address, by login and by bearer together, and told the
// same whatever is wrong with them.
func TestWrongTokens(t *testing.T) {
	s := newSite(t)
	wrong := func(i int) (reply, string) {
		if i%2 == 0 {
			return s.ask(s.request("POST", "/api/login", `{"token":"no"}`))
		}
		r := s.request("GET", "/metrics", "")
		r.Header.Set("Authorization", "Bearer "+strings.Repeat("A", len(token)-1)+"B")
		return s.ask(r)
	}
	first := ""
	for i := range wrongBurst {
		answer, body := wrong(i)
		if first == "" {
			first = body
		}
		if answer.StatusCode != http.StatusUnauthorized || body != first || len(answer.Cookies()) > 0 {
			t.Fatalf("wrong token %d: %d %s", i, answer.StatusCode, body)
		}
	}
	if answer, body := wrong(0); answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "10" {
		t.Errorf("one too many: %d %s", answer.StatusCode, body)
	}
	if answer, _ := s.ask(s.request("POST", "/api/login", `{"token":"`+token+`"}`)); answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right one then: %d, so guessing could go on", answer.StatusCode)
	}
	// From elsewhere, and later, it is taken.
	r := s.request("POST", "/api/login", `{"token":"`+token+`"}`)
	r.RemoteAddr = "127.0.0.2:1"
	if answer, _ := s.ask(r); answer.StatusCode != http.StatusOK {
		t.Errorf("from another address: %d", answer.StatusCode)
	}
	s.clock.pass(wrongEvery)
	s.login()
	if text := s.journal.String(); !strings.Contains(text, "wrong token from 127.0.0.1") || strings.Contains(text, token) {
		t.Errorf("journal: %s", text)
	}
}

// What an attacker sends from a whole network of IPv6 counts as one.
func TestWrongTokensFromManyAddresses(t *testing.T) {
	s := newSite(t)
	last := 0
	for i := range wrongBurst + 1 {
		r := s.request("POST", "/api/login", `{"token":"no"}`)
		r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1", i+1)
		answer, _ := s.ask(r)
		last = answer.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the last: %d", last)
	}
	for i := range 2 * maxClients {
		r := s.request("POST", "/api/login", `{"token":"no"}`)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.1:1", i/256, i%256)
		s.ask(r)
	}
	if n := len(s.attempts.wrong); n > maxClients {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestCookie(t *testing.T) {
	s := newSite(t)
	c := s.login().cookie
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Name != "pace-9615" {
		t.Errorf("cookie %+v", c)
	}
	s.tls = true
	r := s.request("POST", "/api/login", `{"token":"`+token+`"}`)
	r.Header.Set("Origin", "https://127.0.0.1:9615")
	w, _ := (&site{server: s.server, t: t, handler: s.server.handler()}).ask(r)
	if c := w.Cookies()[0]; !c.Secure || c.Name != "__Host-pace-9615" {
		t.Errorf("cookie by TLS %+v", c)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t)
	works := func(in signedIn) bool {
		answer, _ := s.ask(in.on(s.request("GET", "/api/session", "")))
		return answer.StatusCode == http.StatusOK
	}
	in := s.login()
	if answer, _ := s.ask(in.on(s.request("POST", "/api/logout", "{}"))); answer.StatusCode != http.StatusOK || works(in) {
		t.Errorf("signed out: %d, works %v", answer.StatusCode, works(in))
	}
	in = s.login()
	for range 20 { // kept up, but not for ever
		s.clock.pass(sessionIdle - time.Minute)
		if !works(in) {
			break
		}
	}
	if works(in) {
		t.Error("a session does not end")
	}
	in = s.login()
	s.clock.pass(sessionIdle + time.Minute)
	if works(in) {
		t.Error("an idle session does not end")
	}
	first := s.login()
	for range maxSessions {
		s.clock.pass(time.Second)
		s.login()
	}
	if works(first) || len(s.sessions.open) > maxSessions {
		t.Errorf("%d sessions, the first works: %v", len(s.sessions.open), works(first))
	}
}

// Sessions outlive the process, as digests; another token ends them, and so does
// signing out.
func TestSessionsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions.json")
	s := newSite(t)
	start := func(token string) {
		c := s.config
		c.file, c.token = file, token
		s.server = newServer(c)
		s.handler = s.server.handler()
	}
	works := func(in signedIn) bool {
		answer, _ := s.ask(in.on(s.request("GET", "/api/session", "")))
		return answer.StatusCode == http.StatusOK
	}
	start(token)
	in, out := s.login(), s.login()
	s.ask(out.on(s.request("POST", "/api/logout", "{}")))
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), in.cookie.Value) || strings.Contains(string(text), in.key) || strings.Contains(string(text), token) {
		t.Errorf("kept: %s %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	start(token)
	if !works(in) || works(out) {
		t.Errorf("after a restart: signed in %v, signed out %v", works(in), works(out))
	}
	s.clock.pass(sessionIdle + time.Minute)
	start(token)
	if works(in) {
		t.Error("it does not end while nobody runs")
	}
	in = s.login()
	start(strings.Repeat("B", len(token)))
	if works(in) {
		t.Error("another token does not end it")
	}
	if err := os.WriteFile(file, []byte(`{"token":"zz"`), 0o600); err != nil {
		t.Fatal(err)
	}
	start(token)
	if s.login(); !strings.Contains(s.journal.String(), "read the sessions") {
		t.Errorf("a broken file: %s", s.journal)
	}
}

func TestBodies(t *testing.T) {
	s := newSite(t)
	in := s.login()
	long := `{"app":"api","action":"restart","instances":"` + strings.Repeat("x", maxBody) + `"}`
	for name, c := range map[string]struct {
		body, kind string
		want       int
	}{
		"too long":          {long, "application/json", http.StatusRequestEntityTooLarge},
		"a form":            {"action=restart&app=api", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		"text that is JSON": {`{"action":"restart","app":"api"}`, "text/plain", http.StatusUnsupportedMediaType},
		"no type":           {`{"action":"restart","app":"api"}`, "", http.StatusUnsupportedMediaType},
		"not JSON":          {`{`, "application/json", http.StatusBadRequest},
		"two":               {`{"action":"restart","app":"api"}{}`, "application/json", http.StatusBadRequest},
		"unknown fields":    {`{"action":"restart","app":"api","specs":[{"exec":"/bin/sh"}]}`, "application/json", http.StatusBadRequest},
	} {
		r := in.on(s.request("POST", "/api/action", c.body))
		r.Header.Set("Content-Type", c.kind)
		if answer, body := s.ask(r); answer.StatusCode != c.want {
			t.Errorf("%s: %d %s", name, answer.StatusCode, body)
		}
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
}

// The API of the daemon is not behind the dashboard: only what pages need is.
func TestIsNoProxy(t *testing.T) {
	s := newSite(t)
	in := s.login()
	for _, path := range []string{"/v1/apps", "/v1/kill", "/v1/apply", "/v1/update", "/api/start", "/api/v1/apps", "/api/../v1/kill", "/api/action/", "//v1/kill"} {
		for _, method := range []string{"GET", "POST"} {
			answer, body := s.ask(in.on(s.request(method, path, `{"specs":[{"name":"x","exec":"/bin/sh"}]}`)))
			if answer.StatusCode < 300 || answer.StatusCode >= 500 {
				t.Errorf("%s %s: %d %s", method, path, answer.StatusCode, body)
			}
		}
	}
	for _, action := range []string{"", "delete", "kill", "exec", "send", "trigger", "Restart", "update"} {
		text, err := json.Marshal(map[string]string{"action": action, "app": "api"})
		if err != nil {
			t.Fatal(err)
		}
		if answer, body := s.ask(in.on(s.request("POST", "/api/action", string(text)))); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("action %q: %d %s", action, answer.StatusCode, body)
		}
	}
	if done := s.daemon.done(); done != "" {
		t.Errorf("done: %s", done)
	}
}

func TestHeaders(t *testing.T) {
	s := newSite(t)
	in := s.login()
	for _, path := range everyPath() {
		if path == "/api/stream" {
			continue
		}
		answer, _ := s.ask(in.on(s.request("GET", path, "")))
		h := answer.Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), part) {
				t.Errorf("%s: no %s in the policy", path, part)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the policy is unsafe", path)
		}
		want := "no-store"
		if _, isFile := allFiles()[path]; isFile {
			want = "no-cache"
		}
		if h.Get("Cache-Control") != want {
			t.Errorf("%s: Cache-Control %q", path, h.Get("Cache-Control"))
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: others may read it", path)
		}
	}
}

// Nothing in our files would need what the policy forbids, or makes HTML of text.
func TestFilesKeepThePolicy(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|javascript:|https?://`),
		".js":   regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('style'|DOMParser|srcdoc`),
		".css":  regexp.MustCompile(`@import|url\(`),
	}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		for end, pattern := range forbidden {
			if strings.HasSuffix(name, end) {
				if found := pattern.Find(text); found != nil {
					t.Errorf("%s: %q", name, found)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
