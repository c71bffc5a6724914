package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"paceline/internal/e2e/browser"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
	"paceline/internal/e2e/screen"
)

var webAddress = regexp.MustCompile(`(http://\S+/)#token=\S+`)

// webPatience is how long a page may take before the part is given up.
const webPatience = time.Minute

// measureWeb is what the dashboard's first view costs a browser, and the daemon an open
// page, with 100 instances, and that page together with `pace monit`.
func measureWeb(ctx context.Context, b *bench) error {
	if _, err := browser.Path(); err != nil {
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	chromium, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer chromium.Close()
	return errors.Join(pages(ctx, b, chromium), watchedFolders(ctx, b, chromium))
}

// pages measures each page by itself, then both beside the terminal's dashboard.
func pages(ctx context.Context, b *bench, chromium *browser.Browser) (err error) {
	box, err := sandbox.New(b.pace, monitTerminal...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if err := sleepers(ctx, box, 100); err != nil {
		return err
	}
	const there = `document.querySelectorAll('tr.app').length === 2`
	return withPage(ctx, box, chromium, there, func(page *browser.Page) error {
		if err := firstViews(b, page, there); err != nil {
			return err
		}
		if err := watching(ctx, b, box, "the overview open"); err != nil {
			return err
		}
		err := withMonit(ctx, box, many, func() error { return watching(ctx, b, box, "the overview and monit open") })
		if err != nil {
			return err
		}
		if err := showApp(page); err != nil {
			return err
		}
		if err := watching(ctx, b, box, "the app of 100 open"); err != nil {
			return err
		}
		return withMonit(ctx, box, many, func() error { return watching(ctx, b, box, "the app of 100 and monit open") })
	})
}

// watchedFolders measures both dashboards while the files of 100 instances are watched:
// of one app, which share a folder, and of 100 apps, each with a folder of its own.
func watchedFolders(ctx context.Context, b *bench, chromium *browser.Browser) error {
	shared := func(box *sandbox.Sandbox) error {
		dir := filepath.Join(box.Dir, "shared")
		if err := sources(dir); err != nil {
			return err
		}
		_, err := box.Pace(ctx, "start", "sleep", "--name", many, "-i", "100", "--cwd", dir, "--watch", "--", "100000")
		return err
	}
	apart := func(box *sandbox.Sandbox) error {
		var apps []map[string]any
		for i := range 100 {
			dir := filepath.Join(box.Dir, fmt.Sprintf("app-%02d", i))
			if err := sources(dir); err != nil {
				return err
			}
			apps = append(apps, map[string]any{"name": filepath.Base(dir), "script": "sleep", "args": "100000", "cwd": dir, "watch": true})
		}
		file := filepath.Join(box.Dir, "apps.json")
		text, err := json.Marshal(map[string]any{"apps": apps})
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		_, err = box.Pace(ctx, "start", file)
		return err
	}
	for _, c := range []struct {
		title, there, onScreen string
		start                  func(*sandbox.Sandbox) error
	}{
		{"a folder watched, the overview and monit open", `document.querySelectorAll('tr.app').length === 2`, many, shared},
		{"100 folders watched, the overview and monit open", `document.querySelectorAll('tr.app').length > 10`, "app-00", apart},
	} {
		err := func() (err error) {
			box, err := sandbox.New(b.pace, monitTerminal...)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, box.Close(ctx)) }()
			if err := c.start(box); err != nil {
				return err
			}
			return withPage(ctx, box, chromium, c.there, func(*browser.Page) error {
				return withMonit(ctx, box, c.onScreen, func() error { return watching(ctx, b, box, c.title) })
			})
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// sources makes a folder with some files in it.
func sources(dir string) error {
	for _, sub := range []string{"lib", "routes", "views"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
		for i := range 10 {
			if err := os.WriteFile(filepath.Join(dir, sub, fmt.Sprintf("%d.js", i)), nil, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// withPage works while a page shows the dashboard of a home, once there is true in it.
func withPage(ctx context.Context, box *sandbox.Sandbox, chromium *browser.Browser, there string, work func(*browser.Page) error) (err error) {
	port, err := sandbox.ReservePort()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Release()) }()
	said, err := box.Pace(ctx, "web", "--listen", port.Addr())
	if err != nil {
		return err
	}
	address := webAddress.FindStringSubmatch(said)
	if address == nil {
		return fmt.Errorf("pace web says %q", said)
	}
	page, err := chromium.NewPage()
	if err != nil {
		return err
	}
	defer page.Close()
	if err := page.Open(address[0]); err != nil {
		return err
	}
	if err := page.Wait(there, webPatience); err != nil {
		return err
	}
	return work(page)
}

// showApp has the page show the app of 100.
func showApp(page *browser.Page) error {
	if _, err := browser.Eval[string](page, `location.hash = '#/app/`+many+`'`); err != nil {
		return err
	}
	return page.Wait(`document.querySelector('.plot canvas') && document.querySelectorAll('tr.instance').length > 5`, webPatience)
}

// monitTerminal is the terminal for which `pace monit` draws.
var monitTerminal = []string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}

// withMonit works while `pace monit` is on a terminal of 120 by 40, once a word is on it.
func withMonit(ctx context.Context, box *sandbox.Sandbox, word string, work func() error) (err error) {
	cmd := box.Command(ctx, "monit")
	cmd.SysProcAttr = nil // the terminal's
	monit, err := screen.Start(cmd, 120, 40)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, monit.Close()) }()
	within, cancel := context.WithTimeout(ctx, webPatience)
	defer cancel()
	if text, err := monit.Wait(within, func(text string) bool { return strings.Contains(text, word) }); err != nil {
		return fmt.Errorf("wait for %q on the screen of monit: %w; it has\n%s", word, err, text)
	}
	return work()
}

// firstViews loads the page again and again, with nothing kept of it.
func firstViews(b *bench, page *browser.Page, there string) error {
	var took []time.Duration
	var size int64
	for range 10 {
		before := page.Bytes()
		if err := page.Reload(true); err != nil {
			return err
		}
		if err := page.Wait(there, webPatience); err != nil {
			return err
		}
		at, err := browser.Eval[float64](page, `performance.getEntriesByName('paceline-state')[0].startTime`)
		if err != nil {
			return err
		}
		took = append(took, time.Duration(at*float64(time.Millisecond)))
		size = page.Bytes() - before
	}
	b.table.atMost("first view, over the wire", float64(size)/1000, 150, "kB")
	b.table.atMost("first view, until all rows are shown, "+spread(took), ms(median(took)), 300, "ms")
	return nil
}

// watching is what the daemon costs while somebody looks.
func watching(ctx context.Context, b *bench, box *sandbox.Sandbox, when string) error {
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	list, err := box.Instances(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(in sandbox.Instance) bool { return in.Name == "pace-web" })
	if i < 0 {
		return errors.New("pace-web does not run")
	}
	server := list[i].PID
	_, d0, err := used(box)
	if err != nil {
		return err
	}
	w0, err := proc.CPU(server)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := pause(ctx, 20*time.Second); err != nil {
		return err
	}
	took := time.Since(begun)
	_, d1, err := used(box)
	if err != nil {
		return err
	}
	w1, err := proc.CPU(server)
	if err != nil {
		return err
	}
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() }
	b.table.atMost(fmt.Sprintf("daemon, of a core, %s (pace-web %.2f %%)", when, percent(w1-w0)), percent(d1-d0), 2, "%")
	_, daemon, err := ours(box)
	if err != nil {
		return err
	}
	bytes, err := proc.RSS(daemon)
	if err != nil {
		return err
	}
	b.table.atMost("daemon, VmRSS, "+when, float64(bytes)/(1<<20), 48, "MB")
	return nil
}
