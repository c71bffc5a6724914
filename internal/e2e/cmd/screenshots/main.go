// Command screenshots takes the pictures of the dashboard that the documentation
// shows: of the real one, with apps that have something to tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"paceline/internal/e2e/browser"
	"paceline/internal/e2e/sandbox"
)

// Each picture of the documentation is smaller than this, in bytes.
const largest = 150_000

// patience bounds the wait for what a page shows.
const patience = time.Minute

func main() {
	pace := flag.String("pace", "bin/pace", "the binary")
	out := flag.String("out", "docs/img", "the folder for the pictures")
	lively := flag.Duration("lively", 170*time.Second, "how long the apps work before the pictures are taken")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *pace, *out, *lively); err != nil {
		fmt.Fprintf(os.Stderr, "screenshots: %v\n", err)
		os.Exit(1)
	}
}

// server is an app that works as its environment says, and talks about it.
const server = `
const http = require('http');
const work = Number(process.env.WORK || 3);
const colours = [32, 36, 33, 35];
let n = 0;
http.createServer((q, r) => {
  const end = Date.now() + Math.random() * work;
  while (Date.now() < end);
  n++;
  if (n % 7 === 0) console.log('\x1b[' + colours[n % 4] + 'mGET\x1b[0m ' + q.url + ' \x1b[1m200\x1b[0m ' + (Math.random() * work).toFixed(1) + ' ms');
  if (n % 61 === 0) console.error('\x1b[31mWARN\x1b[0m slow query: select * from orders where customer = ' + n);
  r.end('ok\n');
}).listen(Number(process.env.PORT));
const hold = [];
setInterval(() => { if (hold.length < 60) hold.push(Buffer.alloc(400 * 1024 * Math.random())); else hold.splice(0, 30); }, 700);
`

// app is one of those in the pictures.
type app struct {
	name      string
	instances int
	work      int
	rate      time.Duration // between requests; 0: none come
	script    string
}

func apps() []app {
	return []app{
		{"api", 4, 6, 9 * time.Millisecond, server},
		{"checkout", 2, 10, 25 * time.Millisecond, server},
		{"search", 2, 14, 40 * time.Millisecond, server},
		{"frontend", 2, 2, 15 * time.Millisecond, server},
		{"mailer", 1, 0, 0, `let n = 0; setInterval(() => console.log('queue is empty, %d sent', n++), 900);`},
		{"thumbnails", 1, 0, 0, `setInterval(() => { const end = Date.now() + 60 + 120 * Math.random(); while (Date.now() < end); }, 500);`},
		{"import", 1, 0, 0, `console.error('Error: connect ECONNREFUSED 10.0.3.7:5432'); process.exit(1);`},
	}
}

var address = regexp.MustCompile(`http://\S+#token=\S+`)

func run(ctx context.Context, pace, out string, lively time.Duration) (err error) {
	box, err := sandbox.New(pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, a := range apps() {
		if err := start(ctx, box, a); err != nil {
			return err
		}
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Release()) }()
	said, err := box.Pace(ctx, "web", "--listen", port.Addr())
	if err != nil {
		return err
	}
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	p, err := b.NewPage()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Size(1280, 800, 1); err != nil {
		return err
	}
	if err := p.Open(address.FindString(said)); err != nil {
		return err
	}
	timer := time.NewTimer(lively)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	if _, err := box.Pace(ctx, "restart", "1"); err != nil {
		return err
	}
	return shoot(p, out)
}

// start starts an app and whoever asks it for something.
func start(ctx context.Context, box *sandbox.Sandbox, a app) error {
	file := filepath.Join(box.Dir, a.name+".js")
	if err := os.WriteFile(file, []byte(a.script), 0o600); err != nil {
		return err
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		return err
	}
	cmd := box.Command(ctx, "start", file, "-i", fmt.Sprint(a.instances), "--name", a.name, "--cwd", box.Dir, "--max-restarts", "4")
	cmd.Env = append(cmd.Env, "PORT="+fmt.Sprint(port.Number), "WORK="+fmt.Sprint(a.work), "NODE_ENV=production",
		"DATABASE_URL=postgres://shop:wIZ9x@db/shop")
	if text, err := cmd.CombinedOutput(); err != nil && a.name != "import" {
		return fmt.Errorf("start %s: %w: %s", a.name, err, text)
	}
	if a.rate > 0 {
		go ask(ctx, "http://"+port.Addr(), a.rate)
	}
	return nil
}

// ask makes requests until ctx ends, now more of them and now fewer.
func ask(ctx context.Context, url string, every time.Duration) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	paths := strings.Fields("/orders /orders/2214 /products?page=3 /cart /health /login /products/778")
	for n := 0; ctx.Err() == nil; n++ {
		wait := every
		if n/400%3 == 1 {
			wait *= 3
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, url+paths[n%len(paths)], nil)
		if err != nil {
			return
		}
		if r, err := client.Do(q); err == nil {
			_ = r.Body.Close() // nothing was written
		}
	}
}

// shoot takes the pictures.
func shoot(p *browser.Page, out string) error {
	steps := []struct {
		name, wait, address string
		width, height       int64
		dark                bool
	}{
		{"dashboard-light", `document.querySelectorAll('tr.app').length >= 8`, "#/", 1280, 600, false},
		{"dashboard-dark", `document.querySelectorAll('.log-line').length > 10 && document.querySelectorAll('canvas').length > 2`, "#/app/api", 1280, 860, true},
		{"dashboard-phone", `document.querySelectorAll('tr.app').length >= 3`, "#/", 360, 720, false},
	}
	for _, s := range steps {
		if err := errors.Join(p.Dark(s.dark), p.Size(s.width, s.height, 1)); err != nil {
			return err
		}
		if _, err := browser.Eval[string](p, `location.hash = `+browser.Quote(s.address)); err != nil {
			return err
		}
		if err := p.Wait(s.wait, patience); err != nil {
			return err
		}
		// Some seconds more, for the small charts and the log to move.
		if err := p.Wait(`await new Promise((f) => setTimeout(() => f(true), 6000))`, patience); err != nil {
			return err
		}
		picture, err := p.Screenshot()
		if err != nil {
			return err
		}
		file := filepath.Join(out, s.name+".png")
		if len(picture) >= largest {
			return fmt.Errorf("%s has %d bytes, which are not less than %d", file, len(picture), largest)
		}
		if err := os.WriteFile(file, picture, 0o644); err != nil { //nolint:gosec // anybody may look at it
			return err
		}
		if _, err := fmt.Fprintf(os.Stdout, "%s: %d bytes\n", file, len(picture)); err != nil {
			return err
		}
	}
	if faults := p.Faults(); len(faults) > 0 {
		return fmt.Errorf("the page complained: %q", faults)
	}
	return nil
}
