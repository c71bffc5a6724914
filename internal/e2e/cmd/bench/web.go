package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"paceline/internal/e2e/browser"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

var webAddress = regexp.MustCompile(`(http://\S+/)#token=\S+`)

// webPatience is how long a page may take before the part is given up.
const webPatience = time.Minute

// measureWeb is what the dashboard's first view costs a browser, and the open page the
// daemon, with 100 instances.
func measureWeb(ctx context.Context, b *bench) (err error) {
	if _, err := browser.Path(); err != nil {
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if err := sleepers(ctx, box, 100); err != nil {
		return err
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
	address := webAddress.FindStringSubmatch(said)
	if address == nil {
		return fmt.Errorf("pace web says %q", said)
	}
	chromium, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer chromium.Close()
	page, err := chromium.NewPage()
	if err != nil {
		return err
	}
	defer page.Close()
	if err := page.Open(address[0]); err != nil {
		return err
	}
	const there = `document.querySelectorAll('tr.app').length === 2`
	if err := page.Wait(there, webPatience); err != nil {
		return err
	}
	if err := firstViews(b, page, there); err != nil {
		return err
	}
	if err := watching(ctx, b, box, "the overview open"); err != nil {
		return err
	}
	if _, err := browser.Eval[string](page, `location.hash = '#/app/`+many+`'`); err != nil {
		return err
	}
	if err := page.Wait(`document.querySelector('.plot canvas') && document.querySelectorAll('tr.instance').length > 5`, webPatience); err != nil {
		return err
	}
	return watching(ctx, b, box, "the app of 100 open")
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

// watching is what the daemon costs while a page is open.
func watching(ctx context.Context, b *bench, box *sandbox.Sandbox, when string) error {
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	list, err := box.Instances(ctx)
	if err != nil {
		return err
	}
	server := list[len(list)-1].PID
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
	b.table.atMost(fmt.Sprintf("daemon, of a core, 100 instances, %s (pace-web %.2f %%)", when, percent(w1-w0)), percent(d1-d0), 2, "%")
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
