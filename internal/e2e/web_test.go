package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paceline/internal/e2e/browser"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// pagePatience bounds what a page is waited for; a browser on a busy machine is slow.
const pagePatience = 60 * time.Second

// talker serves nothing worth having, and writes what a terminal or a browser might
// take for more than text.
const talker = `
const http = require('http');
http.createServer((q, r) => { console.log('asked for ' + q.url); r.end('ok\n'); }).listen(process.env.PORT);
console.log('\x1b[31mred\x1b[0m <img src=x onerror="document.title=1"> \x1b]0;title\x07\x1b[2J\u202eturned\x00end');
process.stdout.write(Buffer.from([0xff, 0xfe, 0x80, 0x0a]));
console.error('needle in standard error');
for (let i = 0; i < 40; i++) console.log('hay ' + i);
`

// webSite is a browser at a dashboard.
type webSite struct {
	*testing.T
	box     *sandbox.Sandbox
	browser *browser.Browser
	url     string // http://127.0.0.1:port/
	token   string
	page    *browser.Page
}

func (s *webSite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wait waits until an expression of JavaScript is true in the page.
func (s *webSite) wait(expression string) {
	s.Helper()
	s.ok(s.page.Wait(expression, pagePatience))
}

func (s *webSite) click(selector string) {
	s.Helper()
	s.ok(s.page.Click(selector, pagePatience))
}

func eval[V any](s *webSite, expression string) V {
	s.Helper()
	v, err := browser.Eval[V](s.page, expression)
	s.ok(err)
	return v
}

func (s *webSite) pace(args ...string) string {
	s.Helper()
	out, err := s.box.Pace(s.Context(), args...)
	s.ok(err)
	return out
}

// goTo shows a page of the dashboard.
func (s *webSite) goTo(hash string) {
	s.Helper()
	eval[string](s, `location.hash = `+browser.Quote(hash))
}

// overview shows the overview, whatever the test before this one has left: if it was
// none, or one that failed, the page is opened anew.
func (s *webSite) overview() {
	s.Helper()
	if eval[bool](s, `location.href.startsWith(`+browser.Quote(s.url)+`) && !document.querySelector('dialog') && document.querySelector('#nav')?.hidden === false`) {
		s.goTo("#/")
	} else {
		s.ok(s.page.Open(fmt.Sprintf("%s?%d#token=%s", s.url, time.Now().UnixNano(), s.token)))
		s.page.Faults() // of the page before
	}
	s.wait(`document.querySelectorAll('tr.app').length === 2 && document.querySelector('#link').dataset.up === 'yes'`)
}

// api shows the page of the app api.
func (s *webSite) api() {
	s.Helper()
	s.overview()
	s.goTo("#/app/api")
	s.wait(`document.querySelectorAll('.log-line').length > 20 && document.querySelector('.plot canvas') && document.querySelector('.head [data-action=restart]')`)
}

// drop deletes an app that the dashboard of the next test must not have.
func (s *webSite) drop(app string) {
	s.box.Pace(s.Context(), "delete", app) // it has gone unless the test failed
}

// confirm answers the question that is asked.
func (s *webSite) confirm() {
	s.Helper()
	s.click(`dialog button[value="yes"]`)
	s.wait(`!document.querySelector('dialog')`)
}

// unharmed fails if an app was touched meanwhile.
func (s *webSite) unharmed(what string, do func()) {
	s.Helper()
	before, err := s.box.PIDs(s.Context())
	s.ok(err)
	do()
	after, err := s.box.PIDs(s.Context())
	s.ok(err)
	if !slices.Equal(before, after) {
		s.Errorf("%s: processes were %v, are %v", what, before, after)
	}
}

var webAddress = regexp.MustCompile(`(http://127\.0\.0\.1:\d+/)#token=(\S+)`)

// startBrowser starts a browser, or skips the test where there is none.
func startBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	if _, err := browser.Path(); err != nil {
		without(t, &exec.Error{Name: "chromium", Err: exec.ErrNotFound}, "chromium")
	}
	b, err := browser.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// newPage opens a tab that knows nothing of the others.
func newPage(t *testing.T, b *browser.Browser) *browser.Page {
	t.Helper()
	p, err := b.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// The dashboard in a real browser, from the address that `pace web` prints.
func TestWeb(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	box := newSandbox(t)
	app, web := reserve(t), reserve(t)
	script := filepath.Join(box.Dir, "talker.js")
	s := &webSite{T: t, box: box, browser: b}
	s.ok(os.WriteFile(script, []byte(talker), 0o600))
	box.Env = append(box.Env, "PORT="+strconv.Itoa(app.Number), "STRIPE_KEY=sk_live_42", "NODE_ENV=production")
	s.pace("start", script, "--name", "api", "-i", "2")
	said := s.pace("web", "--listen", web.Addr())
	found := webAddress.FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("pace web says %q", said)
	}
	s.url, s.token = found[1], found[2]
	s.page = newPage(t, b)
	// In this order, as one spoils what another looks at, but each can be run alone.
	on := func(name string, f func(*webSite)) {
		t.Run(name, func(t *testing.T) {
			c := *s
			c.T = t
			f(&c)
		})
	}
	on("first view", (*webSite).firstView)
	on("live update", (*webSite).liveUpdate)
	on("wrong token", (*webSite).wrongToken)
	on("hostile host", (*webSite).hostileHost)
	on("another origin", (*webSite).otherOrigin)
	on("get changes nothing", (*webSite).getChangesNothing)
	on("log search", (*webSite).logSearch)
	on("restart", (*webSite).restart)
	on("scale", (*webSite).scale)
	on("secrets", (*webSite).secrets)
	on("accessible", (*webSite).accessible)
	on("terminal sequences", (*webSite).terminalSequences)
	on("daemon killed", (*webSite).daemonKilled)
	on("restarts itself", (*webSite).restartsItself)
	on("sign out", (*webSite).signOut)
	on("elsewhere", (*webSite).elsewhere)
}

func reserve(t *testing.T) *sandbox.Port {
	t.Helper()
	p, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Release() })
	return p
}

// firstView is what is promised: at most 150 kB, and quick.
func (s *webSite) firstView() {
	s.ok(s.page.Open(s.url + "#token=" + s.token))
	s.wait(`document.querySelectorAll('tr.app').length === 2 && document.querySelector('#link').dataset.up === 'yes'`)
	if got := eval[string](s, `location.href`); got != s.url+"#/" {
		s.Errorf("the address bar has %s, with the token or not", got)
	}
	if got := eval[string](s, `document.querySelector('tr.app .badge').innerText`); got != "online 2/2" {
		s.Errorf("api is %q", got)
	}
	// Again, signed in and with nothing kept.
	before := s.page.Bytes()
	s.ok(s.page.Reload(true))
	s.wait(`document.querySelectorAll('tr.app').length === 2`)
	took := eval[float64](s, `performance.getEntriesByName('paceline-state')[0].startTime`)
	got := s.page.Bytes() - before
	s.Logf("first view: %d bytes over the wire, all rows %.0f ms after the address was entered", got, took)
	if got > 150_000 || got < 10_000 {
		s.Errorf("the first view has %d bytes, at most 150,000 are promised", got)
	}
	s.faultless()
}

// faultless fails if the page or its policy has complained.
func (s *webSite) faultless() {
	s.Helper()
	if faults := s.page.Faults(); len(faults) > 0 {
		s.Errorf("the page complains: %q", faults)
	}
}

func (s *webSite) liveUpdate() {
	s.overview()
	defer s.drop("second")
	s.pace("start", "sleep 1000", "--name", "second")
	s.wait(`[...document.querySelectorAll('tr.app .name')].some((e) => e.innerText === 'second')`)
	s.pace("stop", "second")
	s.wait(`[...document.querySelectorAll('tr.app')].some((e) => e.innerText.includes('second') && e.querySelector('.badge').innerText === 'stopped')`)
	s.pace("delete", "second")
	s.wait(`document.querySelectorAll('tr.app').length === 2`)
	s.goTo("#/events")
	s.wait(`['start', 'stop', 'delete'].every((kind) => [...document.querySelectorAll('tr.event')].some((e) => e.innerText.includes('second') && e.querySelector('.kind').innerText === kind))`)
	s.goTo("#/")
	s.wait(`document.querySelectorAll('tr.app').length === 2`)
}

func (s *webSite) wrongToken() {
	p := newPage(s.T, s.browser)
	for i, how := range []string{"#token=" + strings.Repeat("A", len(s.token)), "#token=short"} {
		s.ok(p.Open(fmt.Sprintf("%s?%d%s", s.url, i, how)))
		s.ok(p.Wait(`document.querySelector('form.login .bad').innerText.includes('not the token')`, pagePatience))
	}
	_, err := browser.Eval[any](p, `(document.querySelector('form.login input').focus(), null)`)
	s.ok(err)
	s.ok(p.Type("nonsense\r"))
	s.ok(p.Wait(`document.querySelector('form.login .bad').innerText.includes('not the token') && document.querySelector('#nav').hidden`, pagePatience))
	for _, expression := range []string{
		`fetch('/api/app?app=api').then((r) => r.status)`, `fetch('/api/stream').then((r) => r.status)`, `fetch('/metrics').then((r) => r.status)`,
		`fetch('/api/action', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"action":"stop","app":"api"}'}).then((r) => r.status)`,
	} {
		status, err := browser.Eval[int](p, expression)
		s.ok(err)
		if status != http.StatusUnauthorized {
			s.Errorf("%s: %d", expression, status)
		}
	}
	_, err = browser.Eval[any](p, `(document.querySelector('form.login input').select(), null)`)
	s.ok(err)
	s.ok(p.Type(s.token + "\r"))
	s.ok(p.Wait(`document.querySelectorAll('tr.app').length === 2`, pagePatience))
}

// hostileHost is DNS rebinding: a name of the attacker's that leads to this machine.
func (s *webSite) hostileHost() {
	p := newPage(s.T, s.browser)
	evil := strings.Replace(s.url, "127.0.0.1", "evil.example", 1)
	s.ok(p.Open(evil + "#token=" + s.token))
	s.ok(p.Wait(`document.body.innerText.includes('not a name of the dashboard')`, pagePatience))
	s.unharmed("a hostile host", func() {
		status, err := browser.Eval[int](p, `fetch('/api/login', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: `+
			browser.Quote(`{"token":"`+s.token+`"}`)+`}).then((r) => r.status)`)
		s.ok(err)
		if status != http.StatusMisdirectedRequest {
			s.Errorf("it signs in: %d", status)
		}
	})
}

// otherOrigin is another user's server on this machine, to which the browser that is
// signed in is led: it gets the cookie, as cookies are for all ports, and has the
// browser send what it likes.
func (s *webSite) otherOrigin() {
	s.overview()
	cookies := make(chan string, 1)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case cookies <- r.Header.Get("Cookie"):
		default:
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>evil</title><iframe id=f name=f></iframe><img src="%[1]sapi/action?action=stop&app=api">
			<form id=form target=f method=post enctype=text/plain action="%[1]sapi/action"><input name='{"action":"stop","app":"api","x":"' value='"}'></form>`, s.url)
	}))
	defer evil.Close()
	signedIn := s.page
	defer func() {
		s.ok(signedIn.Open(s.url))
		s.wait(`document.querySelectorAll('tr.app').length === 2`)
		s.page.Faults() // those of the visit
	}()
	s.unharmed("another origin", func() {
		s.ok(s.page.Open(evil.URL))
		results := eval[[]string](s, `(async () => {
			const url = `+browser.Quote(s.url)+`, body = '{"action":"stop","app":"api"}', out = [];
			const attempts = [
				[url + 'api/action', {method: 'POST', mode: 'no-cors', credentials: 'include', body}],
				[url + 'api/action', {method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json', 'Paceline-Key': 'x'}, body}],
				[url + 'api/env?app=api', {credentials: 'include'}],
				[url + 'api/env?app=api', {credentials: 'include', mode: 'no-cors'}],
				[url + 'metrics', {credentials: 'include'}],
			];
			for (const [where, how] of attempts) {
				try { out.push((await (await fetch(where, how)).text())); } catch { out.push(''); }
			}
			document.getElementById('form').submit();
			await new Promise((f) => document.getElementById('f').addEventListener('load', f, {once: true}));
			return out;
		})()`)
		for _, text := range results {
			if text != "" {
				s.Errorf("another origin reads %q", text)
			}
		}
		framed := eval[bool](s, `new Promise((f) => {
			const frame = document.createElement('iframe');
			frame.addEventListener('load', () => { try { f(frame.contentDocument !== null); } catch { f(false); } });
			frame.src = `+browser.Quote(s.url)+`;
			document.body.append(frame);
		})`)
		if framed {
			s.Error("the dashboard is shown in another's frame")
		}
		// The stolen cookie, without what the page alone keeps.
		cookie := <-cookies
		if !strings.Contains(cookie, "pace-") {
			s.Fatalf("the browser sends the cookie %q; the test has nothing to steal", cookie)
		}
		q, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+"api/action", strings.NewReader(`{"action":"stop","app":"api"}`))
		s.ok(err)
		q.Header.Set("Cookie", cookie)
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Origin", strings.TrimSuffix(s.url, "/"))
		r, err := http.DefaultClient.Do(q)
		s.ok(err)
		r.Body.Close()
		if r.StatusCode != http.StatusUnauthorized {
			s.Errorf("with the stolen cookie: %s", r.Status)
		}
	})
}

func (s *webSite) getChangesNothing() {
	s.overview()
	s.unharmed("a GET", func() {
		statuses := eval[[]int](s, `(async () => {
			const headers = {'Paceline-Key': localStorage.getItem('paceline-key')}, out = [];
			for (const where of ['/api/session', '/api/action?action=stop&app=api', '/api/action?action=restart&app=api', '/api/env/reveal?app=api&name=STRIPE_KEY', '/v1/kill'])
				out.push((await fetch(where, {headers})).status);
			return out;
		})()`)
		if statuses[0] != http.StatusOK {
			s.Errorf("the page's own right is not taken: %v", statuses)
		}
		for _, status := range statuses[1:] {
			if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
				s.Errorf("answers %v", statuses)
			}
		}
	})
	s.page.Faults() // that there is nothing there
}

func (s *webSite) logSearch() {
	s.overview()
	s.wait(`document.querySelector('tr.app .name').innerText === 'api'`)
	s.click(`tr.app .name`)
	s.wait(`document.querySelectorAll('.log-line').length > 20 && document.querySelector('.plot canvas')`)
	s.click(`.logs input[type=search]`)
	s.ok(s.page.Type("NEEDLE"))
	s.wait(`document.querySelector('.logs [role=status]').innerText === '2 matches'`)
	s.click(`.logs .check input`)
	s.wait(`document.querySelectorAll('.log-line').length === 2 && document.querySelectorAll('.log-line mark').length === 2`)
	if got := eval[string](s, `document.querySelector('.log-line .log-text').innerText`); got != "needle in standard error" {
		s.Errorf("found %q", got)
	}
	// A line that comes now, while matches alone are shown.
	eval[any](s, `(Object.assign(document.querySelector('.logs input[type=search]'), {value: 'asked for /new'}).dispatchEvent(new Event('input')), null)`)
	s.wait(`document.querySelectorAll('.log-line').length === 0`)
	app := s.box.Env[slices.IndexFunc(s.box.Env, func(kv string) bool { return strings.HasPrefix(kv, "PORT=") })]
	r, err := http.Get("http://127.0.0.1:" + strings.TrimPrefix(app, "PORT=") + "/new")
	s.ok(err)
	r.Body.Close()
	s.wait(`document.querySelectorAll('.log-line').length === 1`)
	// The files, rotated ones too, by a regular expression, since a time and from a level on.
	files, err := filepath.Glob(filepath.Join(s.box.Home, "logs", "api-out*.log"))
	s.ok(err)
	for _, file := range files {
		s.ok(os.WriteFile(file+".1", []byte("Hay 34\nERROR: trouble of old\n"), 0o600))
		day := time.Now().Add(-48 * time.Hour)
		s.ok(os.Chtimes(file+".1", day, day))
	}
	eval[any](s, `(Object.assign(document.querySelector('.logs input[type=search]'), {value: '^hay 3[0-4]$'}).dispatchEvent(new Event('input')), document.querySelector('.logs .check input').click(), null)`)
	s.click(`.logs button[title]`)
	s.wait(fmt.Sprintf(`document.querySelector('.logs [role=status]').innerText === '%d lines found' && document.querySelector('.log-line .log-text').innerText === 'Hay 34'`, 10+len(files)))
	choose := func(label, value string) {
		eval[any](s, fmt.Sprintf(`(Object.assign(document.querySelector('.logs select[aria-label="%s"]'), {value: '%s'}).dispatchEvent(new Event('change')), null)`, label, value))
	}
	choose("Since", "1h")
	s.wait(`document.querySelectorAll('.log-line.s-notice').length === 1 && document.querySelectorAll('.log-line').length === 11 && document.querySelector('.logs [role=status]').innerText === '10 lines found'`)
	choose("Since", "")
	eval[any](s, `(Object.assign(document.querySelector('.logs input[type=search]'), {value: ''}).dispatchEvent(new Event('input')), null)`)
	choose("Least level", "error")
	s.wait(fmt.Sprintf(`document.querySelectorAll('.log-line').length === %d && document.querySelector('.log-line .log-text').innerText === 'ERROR: trouble of old'`, len(files)+2)) // and what both wrote to stderr
	choose("Least level", "")
	// What looks like more than text is text.
	eval[any](s, `(Object.assign(document.querySelector('.logs input[type=search]'), {value: 'onerror'}).dispatchEvent(new Event('input')), null)`)
	s.click(`.logs button[title]`)
	s.wait(`document.querySelectorAll('.log-line').length === 2`)
	got := eval[string](s, `document.querySelector('.log-line .log-text').innerText`)
	if got != "red <img src=x onerror=\"document.title=1\"> \ufffdturned\u2400end" {
		s.Errorf("shown as %q", got)
	}
	if eval[int](s, `document.querySelectorAll('.log img').length`) != 0 || eval[string](s, `document.title`) != "api · Paceline" {
		s.Error("a line of a log became more than text")
	}
	if eval[string](s, `document.querySelector('.log-line .a-red').innerText`) != "red" {
		s.Error("red is not red")
	}
	eval[any](s, `(Object.assign(document.querySelector('.logs input[type=search]'), {value: ''}).dispatchEvent(new Event('input')), [...document.querySelectorAll('.logs button')].find((b) => b.innerText === 'Back to live').click(), null)`)
	s.wait(`document.querySelectorAll('.log-line').length > 20`)
	s.faultless()
}

func (s *webSite) restart() {
	s.api()
	before, err := s.box.PIDs(s.Context())
	s.ok(err)
	// A question that is answered with no has no effect.
	s.unharmed("no", func() {
		s.click(`.head [data-action=restart]`)
		s.click(`dialog .cancel`)
		s.wait(`!document.querySelector('dialog')`)
	})
	s.click(`.head [data-action=restart]`)
	s.confirm()
	s.wait(`document.querySelector('#toasts').innerText.includes('api restarted')`)
	after, err := s.box.PIDs(s.Context())
	s.ok(err)
	if before[0] == after[0] || before[1] == after[1] || before[2] != after[2] {
		s.Errorf("processes were %v, are %v", before, after)
	}
	s.wait(fmt.Sprintf(`[...document.querySelectorAll('tr.instance')].map((r) => r.cells[4].innerText).join() === '%d,%d'`, after[0], after[1]))
	s.wait(`document.querySelector('.events').innerText.includes('restart')`)
}

func (s *webSite) scale() {
	s.api()
	s.click(`.head [data-action=scale]`)
	eval[any](s, `(document.querySelector('dialog input').select(), null)`)
	s.ok(s.page.Type("3"))
	s.confirm()
	s.wait(`document.querySelectorAll('tr.instance').length === 3 && document.querySelector('.head .badge').innerText === 'online 3/3'`)
	// One of them, by itself.
	s.click(`tr.instance:nth-of-type(4) [data-action=stop]`)
	s.confirm()
	s.wait(`document.querySelector('.head .badge').innerText === 'online 2/3'`)
	s.faultless()
}

func (s *webSite) secrets() {
	s.api()
	s.click(`details summary`)
	row := `[...document.querySelectorAll('.env tr')].find((r) => r.cells[0].innerText === 'STRIPE_KEY')`
	s.wait(row + `.innerText.includes('••')`)
	if strings.Contains(eval[string](s, `document.documentElement.outerHTML`), "sk_live_42") {
		s.Error("the page has the secret before it is asked for")
	}
	if got := eval[string](s, `[...document.querySelectorAll('.env tr')].find((r) => r.cells[0].innerText === 'NODE_ENV').cells[1].innerText`); got != "production" {
		s.Errorf("NODE_ENV is %q", got)
	}
	eval[any](s, `(`+row+`.querySelector('button').click(), null)`)
	s.confirm()
	s.wait(row + `.innerText.includes('sk_live_42')`)
}

// accessible looks at each page as a program can: names, headings, landmarks,
// contrast in both themes, the keyboard, a narrow screen.
func (s *webSite) accessible() {
	s.overview()
	audit, err := os.ReadFile("testdata/audit.js")
	s.ok(err)
	for _, hash := range []string{"#/app/api", "#/events", "#/"} {
		s.goTo(hash)
		s.wait(`document.querySelector('main tbody tr:not(.space)') && document.querySelector('#nav [aria-current]') !== null`)
		for _, dark := range []bool{false, true} {
			s.ok(s.page.Dark(dark))
			if faults := eval[[]string](s, string(audit)); len(faults) > 0 {
				s.Errorf("%s, dark %v:\n%s", hash, dark, strings.Join(faults, "\n"))
			}
		}
		s.ok(s.page.Size(360, 640, 1))
		s.wait(`innerWidth === 360`)
		if wide := eval[[]string](s, `[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.scroll, .log, .hidden, .skip') && e.getBoundingClientRect().right > 361).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))`); len(wide) > 0 {
			s.Errorf("%s: wider than a phone:\n%s", hash, strings.Join(wide, "\n"))
		}
		s.ok(s.page.Size(1400, 900, 1))
	}
	// The overview by the keyboard alone.
	s.wait(`document.querySelectorAll('tr.app').length === 2 && innerWidth === 1400`)
	eval[any](s, `(document.activeElement.blur(), null)`)
	s.ok(s.page.Type("/"))
	s.wait(`document.activeElement.id === 'filter' && (document.activeElement.select(), true)`)
	s.ok(s.page.Type("ap"))
	for range 20 {
		s.ok(s.page.Type("\t"))
		if eval[bool](s, `document.activeElement.matches('tr.app .name') && getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			break
		}
	}
	s.ok(s.page.Type("\r"))
	s.wait(`document.querySelector('h1').innerText === 'api' && document.activeElement.id === 'main'`)
	s.faultless()
}

// terminalSequences has the page read what nobody would write on purpose.
func (s *webSite) terminalSequences() {
	s.overview()
	faults := eval[[]string](s, `(async () => {
		const { parse, plain } = await import('/js/ansi.js');
		const odd = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
		const pieces = ['\x1b', '[', ']', '0', '38;5;', '196', 'm', ';', ':', '48;2;1;2;3m', '\x07', '\x1b\\', '\u009b', '\u009d', 'H', '?25l', '<b>', '&amp;', '\0', '\x7f',
			'\u202e', '\u2066', '\ud83d\ude00', '\ud83d', 'e\u0301', '\t', '\r', ' ', 'P', 'X', '999999999999m', '-1m', '__proto__m'];
		const faults = [];
		for (let seed = 1, n = 0; n < 5000; n++) {
			let line = '';
			for (let i = 0; i < 12; i++) line += pieces[(seed = (seed * 48271) % 2147483647) % pieces.length];
			const parts = parse(line), text = parts.map((p) => p.text).join('');
			if (text !== plain(line) || odd.test(text) || parts.some((p) => !/^[a-z -]*$/.test(p.classes))) faults.push(JSON.stringify([line, parts]));
		}
		for (const [line, text, classes] of [
			['\x1b[1;31mx\x1b[0my', 'xy', ['a-red a-bold', '']], ['\x1b[38;5;46mx', 'x', ['a-green']], ['a\x1b]8;;http://evil\x1b\\b', 'ab', ['', '']], ['\x1b[38;2;255;0;0mx', 'x', ['']],
		]) {
			const parts = parse(line);
			if (parts.map((p) => p.text).join('') !== text || parts.map((p) => p.classes).join() !== classes.join()) faults.push(JSON.stringify([line, parts]));
		}
		// Each of these took minutes if a pattern went back over it again and again.
		for (const line of ['\x1b['.repeat(50000), '\x1b[' + '1;'.repeat(50000), '\x1b]' + 'x'.repeat(100000), '\x1b]\x1b'.repeat(30000), '\x1b' + ' '.repeat(100000), '\x1bP'.repeat(50000)]) parse(line);
		return faults.slice(0, 5);
	})()`)
	if len(faults) > 0 {
		s.Errorf("terminal sequences:\n%s", strings.Join(faults, "\n"))
	}
}

// daemonKilled: the page is a client of the API, whose daemon may go at any time.
func (s *webSite) daemonKilled() {
	ctx, cancel := context.WithTimeout(s.Context(), pagePatience)
	defer cancel()
	s.overview()
	s.pace("start", "sleep 1000", "--name", "leaver")
	defer s.drop("after")
	s.pace("delete", "leaver")
	s.wait(`document.querySelectorAll('tr.app').length === 2`)
	old, err := s.box.DaemonPID()
	s.ok(err)
	s.ok(proc.Kill(old))
	_, err = s.box.NextDaemon(ctx, old)
	s.ok(err)
	s.pace("start", "sleep 1000", "--name", "after")
	s.wait(`[...document.querySelectorAll('tr.app .name')].some((e) => e.innerText === 'after') && document.querySelector('#link').dataset.up === 'yes'`)
	// Of events none is missed, nor shown twice.
	s.goTo("#/events")
	s.wait(`[...document.querySelectorAll('tr.event')].filter((e) => e.innerText.includes('after') && e.querySelector('.kind').innerText === 'start').length === 1`)
	eval[any](s, `(Object.assign(document.querySelector('main input[type=search]'), {value: 'leaver'}).dispatchEvent(new Event('input')), null)`)
	s.wait(`['start', 'delete'].every((kind) => [...document.querySelectorAll('tr.event')].filter((e) => e.innerText.includes('leaver') && e.querySelector('.kind').innerText === kind).length === 1)`)
	s.page.Faults() // an answer that did not come
}

// restartsItself: the page comes back by itself, and is still signed in.
func (s *webSite) restartsItself() {
	s.overview()
	before := s.pace("pid", "pace-web")
	eval[any](s, `([...document.querySelectorAll('tr.app')].find((r) => r.innerText.startsWith('pace-web')).querySelector('[data-action=restart]').click(), null)`)
	s.confirm()
	s.wait(`[...document.querySelectorAll('tr.app')].some((r) => r.innerText.startsWith('pace-web') && r.cells[5].innerText === '1') && document.querySelector('#link').dataset.up === 'yes'`)
	if after := s.pace("pid", "pace-web"); after == before {
		s.Errorf("its process is %s as before", strings.TrimSpace(after))
	}
	s.page.Faults() // that it did not answer
}

// elsewhere is by TLS, with a certificate of our own making.
func (s *webSite) elsewhere() {
	port := reserve(s.T)
	said := s.pace("web", "--listen", "0.0.0.0:"+strconv.Itoa(port.Number), "--new-token")
	_, token, ok := strings.Cut(said, "#token=")
	if !ok {
		s.Fatalf("pace web says %q", said)
	}
	token, _, _ = strings.Cut(token, "\n")
	p := newPage(s.T, s.browser)
	s.ok(p.Open("https://" + port.Addr() + "/#token=" + token))
	s.ok(p.Wait(`document.querySelectorAll('tr.app').length === 2 && document.querySelector('#link').dataset.up === 'yes'`, pagePatience))
	protocol, err := browser.Eval[string](p, `performance.getEntriesByType('navigation')[0].nextHopProtocol`)
	s.ok(err)
	if protocol != "h2" {
		s.Errorf("by %s", protocol)
	}
	if faults := p.Faults(); len(faults) > 0 {
		s.Errorf("the page complains: %q", faults)
	}
}

func (s *webSite) signOut() {
	s.overview()
	s.click(`#signout`)
	s.wait(`document.querySelector('form.login') && document.querySelector('#nav').hidden`)
	if got := eval[int](s, `fetch('/api/session').then((r) => r.status)`); got != http.StatusUnauthorized {
		s.Errorf("after signing out: %d", got)
	}
	s.pace("web", "stop")
	if conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")); err == nil {
		conn.Close()
		s.Error("somebody still listens after `pace web stop`")
	}
}

// crowd is a daemon with 500 instances whose figures change each time, and an app
// that writes 1,000 lines a second.
type crowd struct {
	lines atomic.Int64 // that were written
	asked atomic.Int64 // for instances
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	send := func(v any) { json.NewEncoder(w).Encode(v) }
	switch r.URL.Path {
	case "/v1/instances", "/v1/apps":
		turn := int(c.asked.Add(1))
		list := make([]map[string]any, 0, 500)
		for i := range 500 {
			name := fmt.Sprintf("app-%03d", i)
			if i < 100 {
				name = "big"
			}
			list = append(list, map[string]any{
				"id": i, "name": name, "index": 0, "mode": "cluster", "state": "online", "pid": 1000 + i, "restarts": turn % (i + 2),
				"started_at": time.Now().Add(-time.Hour), "cpu": float64((i*7+turn*13)%1000) / 10, "memory_bytes": 1<<24 + (i*turn)%1000<<12,
			})
		}
		if r.URL.Path == "/v1/apps" {
			send([]any{map[string]any{"spec": map[string]any{"name": "big", "exec": "/srv/big", "cwd": "/srv", "mode": "cluster"}, "instances": list[:100]}})
			return
		}
		send(list)
	case "/v1/logs":
		c.log(w, r)
	case "/v1/events":
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/v1/version":
		send(map[string]any{"version": "1"})
	default:
		w.WriteHeader(http.StatusNotImplemented)
		send(map[string]any{"error": map[string]any{"code": "unsupported", "message": "not here"}})
	}
}

// log writes a hundred lines every tenth of a second.
func (c *crowd) log(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		for range 100 {
			n := c.lines.Add(1)
			fmt.Fprintf(w, "data: {\"id\":%d,\"name\":\"big\",\"stream\":\"out\",\"line\":\"\\u001b[32mline\\u001b[0m %d of a log that is written quickly, with some more words\"}\n\n", n%100, n)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}

// With 500 instances and 1,000 log lines per second the page stays small, and does
// what it is told.
func TestWebStaysResponsive(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "pace.sock"))
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{}
	daemon := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go daemon.Serve(l)
	t.Cleanup(func() { daemon.Close() })
	web := exec.Command(filepath.Join(os.Getenv(binaries), "pace"), "web", "--foreground", "--listen", "127.0.0.1:0")
	web.Env = append(os.Environ(), "PACELINE_HOME="+dir, "GORACE=atexit_sleep_ms=0 exitcode=66")
	web.Stderr = os.Stderr
	out, err := web.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := web.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		web.Process.Signal(os.Interrupt)
		if err := web.Wait(); err != nil {
			t.Errorf("pace web: %v", err)
		}
	})
	said := make([]byte, 4096)
	n, err := out.Read(said)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	found := webAddress.FindStringSubmatch(string(said[:n]))
	if found == nil {
		t.Fatalf("pace web --foreground says %q", said[:n])
	}
	s := &webSite{T: t, browser: b, url: found[1], token: found[2], page: newPage(t, b)}
	s.ok(s.page.Open(s.url + "#token=" + s.token))
	s.wait(`document.querySelector('.tile:nth-child(2) dd').innerText === '500 / 500'`)
	small := func(where string, most int) {
		if n := eval[int](s, `document.querySelectorAll('*').length`); n > most {
			t.Errorf("%s has %d elements, want at most %d", where, n, most)
		}
	}
	small("the overview", 1500)
	// Down to the end of 401 rows, and a filter.
	s.wait(`(window.scrollTo(0, document.body.scrollHeight), [...document.querySelectorAll('tr.app')].some((r) => r.innerText.startsWith('big')))`)
	small("its end", 1500)
	eval[any](s, `(window.scrollTo(0, 0), document.querySelector('#filter').focus(), null)`)
	s.ok(s.page.Type("app-49"))
	s.wait(`document.querySelectorAll('tr.app').length === 10`)
	s.goTo("#/app/big")
	s.wait(`document.querySelectorAll('.log-line').length > 10`)
	// Frames of some seconds of it.
	frames := eval[map[string]float64](s, `(async () => {
		const gaps = [], began = performance.now();
		for (let last = began; last - began < 3000;) {
			const now = await new Promise(requestAnimationFrame);
			gaps.push(now - last);
			last = now;
		}
		gaps.sort((a, b) => a - b);
		return {frames: gaps.length, median: gaps[gaps.length >> 1], p95: gaps[Math.floor(gaps.length * 0.95)], most: gaps.at(-1)};
	})()`)
	t.Logf("500 instances, 1,000 lines/s: %v ms between frames", frames)
	small("the app", 2500)
	// It keeps up: a line that is written from now on is shown soon, and a search works.
	mark := c.lines.Load() + 500
	s.wait(fmt.Sprintf(`Number([...document.querySelectorAll('.log-line .log-text')].at(-1).innerText.split(' ')[1]) > %d`, mark))
	eval[any](s, `([...document.querySelectorAll('.logs button')].find((b) => b.innerText === 'Pause').click(), document.querySelector('.logs input[type=search]').focus(), null)`)
	s.ok(s.page.Type("written quickly"))
	s.wait(`document.querySelector('.logs [role=status]').innerText.startsWith('paused, ') && document.querySelectorAll('.log-line mark').length > 10`)
	eval[any](s, `([...document.querySelectorAll('.logs button')].find((b) => b.innerText === 'Go on').click(), null)`)
	s.wait(fmt.Sprintf(`Number([...document.querySelectorAll('.log-line .log-text')].at(-1).innerText.split(' ')[1]) > %d`, c.lines.Load()))
	small("the app at last", 2500)
	s.faultless()
}
