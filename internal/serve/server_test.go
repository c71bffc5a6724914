package serve

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestApplyIsWhatTheServerReads(t *testing.T) {
	for _, o := range []Options{
		{},
		{Path: "/srv/www", Port: 80, Host: "::1", SPA: true, FTP: true, Homepage: "/a/b.html", Username: "me", Password: "p:w"},
		{Path: "dist"},
	} {
		spec := app.Defaults()
		spec.Cwd = "/home/me"
		spec.Env = map[string]string{"PM2_SERVE_SPA": "nonsense", "PM2_SERVE_PORT": "1", "KEEP": "1"}
		if err := o.Apply(&spec, "/usr/bin/pace"); err != nil {
			t.Fatal(err)
		}
		if err := spec.Validate(); err != nil {
			t.Fatal(err)
		}
		if spec.Env["KEEP"] != "1" || spec.Exec != "/usr/bin/pace" || spec.Args[0] != Role || spec.Name != o.Name() {
			t.Errorf("got %+v", spec)
		}
		if o.Password != "" && strings.Contains(strings.Join(spec.Args, " "), o.Password) {
			t.Errorf("the password is on the command line: %q", spec.Args)
		}
		got, err := parse(spec.Args[1:], func(name string) string { return spec.Env[name] })
		want := o.complete()
		if !strings.HasPrefix(want.Path, "/") {
			want.Path = strings.TrimSuffix("/home/me/"+want.Path, "/.")
		}
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	spec := app.Defaults()
	spec.Cwd, spec.Instances, spec.Name = "/", 2, "mine"
	if err := (Options{}).Apply(&spec, "/pace"); err != nil || spec.Mode != app.Cluster || spec.Name != "mine" {
		t.Errorf("got %+v, %v", spec, err)
	}
}

func TestEnvironment(t *testing.T) {
	got, err := parse([]string{"--port", "90"}, env("PM2_SERVE_PORT=81", "PM2_SERVE_PATH=/x", "PM2_SERVE_SPA=true", "PM2_SERVE_DIRECTORY=1",
		"PM2_SERVE_HOMEPAGE=/home.html", "PM2_SERVE_BASIC_AUTH=true", "PM2_SERVE_BASIC_AUTH_USERNAME=a", "PM2_SERVE_BASIC_AUTH_PASSWORD=b"))
	want := Options{Path: "/x", Port: 90, Host: DefaultHost, SPA: true, FTP: true, Homepage: "home.html", Username: "a", Password: "b"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, c := range []struct{ env, args, mention string }{
		{"PM2_SERVE_PORT=x", "", "PM2_SERVE_PORT"},
		{"PM2_SERVE_PORT=0", "", "1 to 65535"},
		{"PM2_SERVE_SPA=perhaps", "", "neither true nor false"},
		{"PM2_SERVE_BASIC_AUTH=true", "", "PM2_SERVE_BASIC_AUTH_USERNAME"},
		{"PM2_SERVE_BASIC_AUTH_USERNAME=a", "", "a name and a password"},
		{"PM2_SERVE_HOMEPAGE=../../etc/passwd", "", "not below"},
		{"", "--port 70000", "65535"},
		{"", "--frob", "frob"},
		{"", "x", "one word too many"},
	} {
		if _, err := parse(strings.Fields(c.args), env(c.env)); err == nil || !strings.Contains(err.Error(), c.mention) {
			t.Errorf("%s %s: got %v, want a mention of %q", c.env, c.args, err, c.mention)
		}
	}
}

// A client that keeps its connection is told to leave by the answer to its next
// request; one that asks for nothing is not waited for.
func TestEndsWithoutCuttingAConnection(t *testing.T) {
	o := Options{Path: site(t)}.complete()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var errs bytes.Buffer
	go func() { ended <- run(ctx, o, l, &errs) }()

	dialled := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	get := func() (leave bool) {
		r, err := client.Get("http://" + l.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "<p>home" {
			t.Fatalf("got %q, %v", body, err)
		}
		return r.Close
	}
	get()
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	get()
	end()
	for !get() { // until the end is known there
		select {
		case err := <-ended:
			t.Fatalf("ended with %v before the connection was told", err)
		default:
		}
	}
	if dialled != 1 {
		t.Errorf("%d connections, want one", dialled)
	}
	silent.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
	if errs.Len() > 0 {
		t.Errorf("it complains: %s", errs.String())
	}
}

func TestMainTellsWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := t.TempDir()
	for _, c := range []struct{ args, mention string }{
		{"--path " + dir + "/gone --host 127.0.0.1", "no such file"},
		{"--path " + dir + " --host 127.0.0.1 --port " + port, "address already in use"},
	} {
		err := Main(t.Context(), strings.Fields(c.args), env(), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.mention) {
			t.Errorf("%s: got %v, want a mention of %q", c.args, err, c.mention)
		}
	}
}
