package serve

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// site makes a folder to serve, with something beside it that must not be.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secret.txt":               "secret",
		"www/index.html":           "<p>home",
		"www/other.html":           "<p>other",
		"www/404.html":             "<p>nothing",
		"www/a b&<c>.txt":          "odd name",
		"www/notes":                "<html>plain",
		"www/.env":                 "PASSWORD=1",
		"www/.well-known/acme":     "token",
		"www/docs/index.html":      "<p>docs",
		"www/docs/404.html":        "<p>no such page",
		"www/docs/deep/.git/HEAD":  "ref",
		"www/files/one.bin":        "\x00\x01\x02",
		"www/files/app.woff2":      "font",
		"www/files/sub/hidden.txt": "x",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	www := filepath.Join(dir, "www")
	for name, to := range map[string]string{"out": "../secret.txt", "absolute": filepath.Join(dir, "secret.txt"), "in": "other.html"} {
		if err := os.Symlink(to, filepath.Join(www, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(www, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	return www
}

func ask(h http.Handler, method, target string, header ...string) (status int, body string, got http.Header) {
	r := httptest.NewRequest(method, "/", nil)
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, query // as it comes: nothing cleaned
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func TestFiles(t *testing.T) {
	www := site(t)
	plain := Options{Path: www}
	spa := Options{Path: www, SPA: true}
	ftp := Options{Path: www, FTP: true}
	for _, c := range []struct {
		o      Options
		target string
		status int
		body   string // what it begins with
	}{
		{plain, "/", 200, "<p>home"},
		{plain, "/index.html", 200, "<p>home"},
		{plain, "//other.html", 200, "<p>other"},
		{plain, "/in", 200, "<p>other"},
		{plain, "/a b&<c>.txt", 200, "odd name"},
		{plain, "/docs", 301, ""},
		{plain, "/docs/", 200, "<p>docs"},
		{plain, "/files", 404, "<p>nothing"},
		{plain, "/files/", 404, "<p>nothing"},
		{plain, "/docs/x", 404, "<p>no such page"},
		{plain, "/docs/x/y/z", 404, "<p>no such page"},
		{plain, "/other.html/", 404, "<p>nothing"},
		{plain, "/other.html/x", 404, "<p>nothing"},
		{plain, "/" + strings.Repeat("x", 300), 404, "<p>nothing"},
		{plain, "/.env", 403, "403"},
		{plain, "/docs/deep/.git/HEAD", 403, "403"},
		{plain, "/.well-known/acme", 200, "token"},
		{plain, "/docs/.well-known/acme", 403, "403"},
		{plain, "/../secret.txt", 403, "403"},
		{plain, "/docs/../../secret.txt", 403, "403"},
		{plain, "/..", 403, "403"},
		{plain, `/..\secret.txt`, 403, "403"},
		{plain, "/a\x00b", 403, "403"},
		{plain, "secret.txt", 403, "403"},
		{plain, "/out", 403, "403"},
		{plain, "/absolute", 403, "403"},
		{plain, "/pipe", 403, "403"},
		{spa, "/a/b/other.html", 200, "<p>other"},
		{spa, "/app/route", 200, "<p>home"},
		{spa, "/files/", 200, "<p>home"},
		{spa, "/../secret.txt", 403, "403"},
		{spa, "/a/.env", 403, "403"},
		{Options{Path: www, Homepage: "/other.html"}, "/", 200, "<p>other"},
		{Options{Path: www, Homepage: "other.html", SPA: true}, "/x", 200, "<p>other"},
		{ftp, "/", 200, "<p>home"},
		{ftp, "/files", 301, ""},
		{ftp, "/files/", 200, "<!DOCTYPE html>"},
		{ftp, "/nothing/", 404, "<p>nothing"},
		{Options{Path: filepath.Join(www, "gone")}, "/", 500, "500"},
	} {
		status, body, _ := ask(newHandler(c.o.complete(), log.New(io.Discard, "", 0)), "GET", c.target)
		if status != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%+v %q: got %d %.40q, want %d %q", c.o, c.target, status, body, c.status, c.body)
		}
		if strings.Contains(body, "secret") || strings.Contains(body, "PASSWORD") {
			t.Errorf("%+v %q: shows what is not served: %q", c.o, c.target, body)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := newHandler(Options{Path: site(t), FTP: true}.complete(), log.New(io.Discard, "", 0))
	_, _, first := ask(h, "GET", "/other.html")
	tag := first.Get("ETag")
	for _, c := range []struct {
		method, target, header string
		status                 int
		body, name, value      string
	}{
		{"GET", "/other.html", "", 200, "<p>other", "Content-Type", "text/html; charset=utf-8"},
		{"GET", "/other.html", "", 200, "<p>other", "Access-Control-Allow-Origin", "*"},
		{"HEAD", "/other.html", "", 200, "", "Content-Length", "8"},
		{"GET", "/other.html", "Range: bytes=3-5", 206, "oth", "Content-Range", "bytes 3-5/8"},
		{"GET", "/other.html", "If-None-Match: " + tag, 304, "", "ETag", tag},
		{"GET", "/other.html", "If-Modified-Since: " + first.Get("Last-Modified"), 304, "", "ETag", tag},
		{"GET", "/files/app.woff2", "", 200, "font", "Content-Type", "font/woff2"},
		{"GET", "/files/one.bin", "", 200, "\x00\x01\x02", "Content-Type", "application/octet-stream"},
		{"GET", "/notes", "", 200, "<html>plain", "Content-Type", "text/plain; charset=utf-8"},
		{"HEAD", "/nothing", "", 404, "", "Content-Type", "text/html; charset=utf-8"},
		{"GET", "/docs?a=1", "", 301, "", "Location", "docs/?a=1"},
		{"OPTIONS", "/other.html", "", 204, "", "Access-Control-Allow-Methods", methods},
		{"POST", "/other.html", "", 405, "405 Method Not Allowed\n", "Allow", methods},
		{"HEAD", "/files/", "", 200, "", "Content-Type", "text/html; charset=utf-8"},
	} {
		status, body, header := ask(h, c.method, c.target, c.header)
		if status != c.status || body != c.body || header.Get(c.name) != c.value {
			t.Errorf("%s %s %s: got %d %q, %s %q; want %d %q, %q", c.method, c.target, c.header, status, body,
				c.name, header.Get(c.name), c.status, c.body, c.value)
		}
	}
	h.closing.Store(true)
	if _, _, header := ask(h, "GET", "/"); header.Get("Connection") != "close" {
		t.Errorf("at the end: got %v, want Connection: close", header)
	}
}

func TestListing(t *testing.T) {
	www := site(t)
	if err := os.Remove(filepath.Join(www, "index.html")); err != nil {
		t.Fatal(err)
	}
	_, body, _ := ask(newHandler(Options{Path: www, FTP: true}.complete(), log.New(io.Discard, "", 0)), "GET", "/")
	for _, want := range []string{
		`<a href="a%20b&amp;%3Cc%3E.txt">a b&amp;&lt;c&gt;.txt</a></td><td>8<`, `<a href="docs/">docs/</a>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for _, not := range []string{".env", ".well-known", "../"} {
		if strings.Contains(body, not) {
			t.Errorf("%s in\n%s", not, body)
		}
	}
	if strings.Index(body, "files/") > strings.Index(body, "404.html") {
		t.Errorf("folders do not come first:\n%s", body)
	}
}

func TestBasicAuth(t *testing.T) {
	h := newHandler(Options{Path: site(t), Username: "me", Password: "pass:word"}.complete(), log.New(io.Discard, "", 0))
	for _, c := range []struct {
		user, password string
		want           int
	}{{"me", "pass:word", 200}, {"me", "", 401}, {"", "", 401}, {"me:pass", "word", 200}, {"you", "pass:word", 401}, {"me", "pass:word ", 401}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(c.user, c.password)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%q %q: got %d, want %d", c.user, c.password, w.Code, c.want)
		}
	}
	status, body, header := ask(h, "GET", "/")
	if status != 401 || strings.Contains(body, "home") || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("without a name: got %d %q %v", status, body, header)
	}
}

// No path may lead to what is not below the folder, or hidden in it.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/../x", "/a/./b//c/", "/.well-known/x", "/a/.b", "//..", "/...", "x"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := localName(path)
		if !ok {
			return
		}
		if !filepath.IsLocal(name) {
			t.Fatalf("%q: %q is not below the folder", path, name)
		}
		for i, part := range strings.Split(name, "/") {
			if strings.HasPrefix(part, ".") && name != "." && (i > 0 || part != ".well-known") {
				t.Fatalf("%q: %q is hidden", path, name)
			}
		}
	})
}
