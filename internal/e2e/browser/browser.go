// Package browser drives a real browser, without a window and without a network of
// its own, for tests of pages.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os/exec"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chromedp/cdproto/cdp"
)

// ErrMissing is that there is no browser.
var ErrMissing = errors.New("no chromium is installed; scripts/deps.sh chromium installs it")

// Path finds the browser. Errors: ErrMissing.
func Path() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if file, err := exec.LookPath(name); err == nil {
			return file, nil
		}
	}
	return "", ErrMissing
}

// Browser is a running one. Its pages may be used from several goroutines, each page
// from one.
type Browser struct {
	ctx    context.Context //nolint:containedctx // chromedp keeps its state in it
	cancel context.CancelFunc
}

// Start starts a browser with a profile of its own that knows no cookie. Close ends
// it. Errors: ErrMissing.
func Start(ctx context.Context) (*Browser, error) {
	file, err := Path()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(file), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.IgnoreCertErrors, // of our own certificates
		chromedp.Flag("lang", "en-GB"), chromedp.WindowSize(1400, 900),
		chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"),
	)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	b := &Browser{ctx: ctx, cancel: func() {
		cancel()
		stop()
		chromedp.FromContext(ctx).Allocator.Wait()
	}}
	if err := chromedp.Do(ctx); err != nil {
		b.cancel()
		return nil, fmt.Errorf("start %s: %w", file, err)
	}
	return b, nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() { b.cancel() }

// Page is a tab with cookies and storage of its own.
type Page struct {
	ctx    context.Context //nolint:containedctx // as in Browser
	cancel context.CancelFunc

	mu     sync.Mutex // guards the others
	faults []string   // what the page complained of
	bytes  int64      // that came over the wire
}

// NewPage opens a tab of its own. Close closes it.
func (b *Browser) NewPage() (*Page, error) {
	p := &Page{}
	p.ctx, p.cancel = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	if err := chromedp.Do(p.ctx); err != nil {
		p.cancel()
		return nil, fmt.Errorf("open a tab: %w", err)
	}
	if err := chromedp.Listen(p.ctx, p.hear); err != nil {
		p.cancel()
		return nil, fmt.Errorf("listen to the tab: %w", err)
	}
	err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		if err == nil {
			_, err = cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		}
		return err
	}))
	if err != nil {
		p.cancel()
		return nil, fmt.Errorf("listen to the tab: %w", err)
	}
	return p, nil
}

// hear keeps what the page says of itself.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventLoadingFinished:
		p.bytes += int64(e.EncodedDataLength)
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.faults = append(p.faults, e.Entry.Text)
		}
	}
}

// Close closes the tab.
func (p *Page) Close() { p.cancel() }

// Faults are the errors that the page, or the browser about it, has told since the
// last call.
func (p *Page) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.faults
	p.faults = nil
	return list
}

// Bytes is how much has come over the wire, with the heads of answers. A stream that
// has not ended does not count.
func (p *Page) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// Open goes to an address and waits until it is loaded.
func (p *Page) Open(url string) error {
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		return fmt.Errorf("open %s: %w", url, err)
	}
	return nil
}

// Eval runs an expression of JavaScript in the page and returns its value, or what
// its promise becomes.
func Eval[T any](p *Page, expression string) (T, error) {
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("%s: %w", expression, err)
	}
	return v, nil
}

// Wait returns when an expression of JavaScript is true, and an error if it is not
// so in time.
func (p *Page) Wait(expression string, patience time.Duration) error {
	ok, err := Eval[bool](p, fmt.Sprintf(`(async () => {
		for (const end = Date.now() + %d; Date.now() < end; await new Promise((f) => setTimeout(f, 20))) {
			try { if (%s) return true; } catch { /* not there yet */ }
		}
		return false;
	})()`, patience.Milliseconds(), expression))
	if err == nil && !ok {
		text, textErr := Eval[string](p, `document.body.innerText`)
		err = errors.Join(fmt.Errorf("not so within %v: %s; the page shows:\n%s", patience, expression, text), textErr)
	}
	return err
}

// Click clicks on the element of a selector, once it is there with nothing in front
// of it. The page's own pointer is not used: what moves meanwhile would be missed.
func (p *Page) Click(selector string, patience time.Duration) error {
	return p.Wait(fmt.Sprintf(`(() => {
		const el = document.querySelector(%s);
		if (!el.checkVisibility()) return false;
		el.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = el.getBoundingClientRect(), at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (at !== el && !el.contains(at)) return false;
		el.focus({preventScroll: true});
		el.click();
		return true;
	})()`, Quote(selector)), patience)
}

// Type types into what has the focus.
func (p *Page) Type(keys string) error {
	if err := chromedp.Do(p.ctx, chromedp.KeyEvent(keys)); err != nil {
		return fmt.Errorf("type: %w", err)
	}
	return nil
}

// Size makes the window that large, in CSS pixels; scale is how many real ones each is.
func (p *Page) Size(width, height int64, scale float64) error {
	return chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
}

// Dark has the page find that its user likes it dark, or light.
func (p *Page) Dark(on bool) error {
	value := "light"
	if on {
		value = "dark"
	}
	return chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return err
	}))
}

// Screenshot is what is to be seen now, as a PNG of 256 colours at most, which for a
// page of flat ones is a third as long and looks the same.
func (p *Page) Screenshot() ([]byte, error) {
	raw, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return nil, fmt.Errorf("take a screenshot: %w", err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read the screenshot: %w", err)
	}
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&small, fewColours(picture)); err != nil {
		return nil, fmt.Errorf("write the screenshot: %w", err)
	}
	return small.Bytes(), nil
}

// fewColours gives a picture the colours that it has most of.
func fewColours(picture image.Image) image.Image {
	counts := map[color.RGBA]int{}
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			counts[colourAt(picture, x, y)]++
		}
	}
	var palette color.Palette
	for len(palette) < 256 && len(counts) > 0 {
		var best color.RGBA
		most := 0
		for c, n := range counts {
			if n > most || n == most && less(c, best) {
				best, most = c, n
			}
		}
		palette = append(palette, best)
		delete(counts, best)
	}
	out := image.NewPaletted(b, palette)
	draw.Draw(out, b, picture, b.Min, draw.Src)
	return out
}

func colourAt(picture image.Image, x, y int) color.RGBA {
	r, g, b, a := picture.At(x, y).RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)} //nolint:gosec // the upper half
}

func less(a, b color.RGBA) bool {
	return [3]uint8{a.R, a.G, a.B} != [3]uint8{b.R, b.G, b.B} &&
		(a.R < b.R || a.R == b.R && (a.G < b.G || a.G == b.G && a.B < b.B))
}

// Quote writes a text as JavaScript does.
func Quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil { // of a text
		panic(err)
	}
	return string(b)
}

// Reload loads the page again; fresh forgets what was kept of it, as for a first visit.
func (p *Page) Reload(fresh bool) error {
	err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: fresh})
		return err
	}), chromedp.Reload())
	if err != nil {
		return fmt.Errorf("reload the page: %w", err)
	}
	return nil
}
