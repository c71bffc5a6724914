package main

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
)

// plotted are the quantiles of a plot, closer together towards the slowest.
func plotted() (list []float64) {
	const steps = 60
	for i := range steps + 1 {
		list = append(list, 1-math.Pow(10, -3*float64(i)/steps)) // 0 to 0.999
	}
	return list
}

// line is a curve of a plot: a value in ms for each of the plotted quantiles.
type line struct {
	name   string
	y      []float64
	colour string // of the plot's own, in the order of the lines
}

// byLast has the slowest first, which is the uppermost.
func byLast(lines []line) []line {
	last := func(l line) float64 { return l.y[len(l.y)-1] }
	return slices.SortedFunc(slices.Values(lines), func(a, b line) int { return cmp.Compare(last(b), last(a)) })
}

// quantilePlot draws times over quantiles as SVG, both in powers of ten: from half of
// the answers to one in a thousand to the right, from fast to slow upwards.
func quantilePlot(title string, lines []line) []byte {
	const (
		width, height            = 760, 440
		left, right, top, bottom = 70, 230, 50, 50
		leastMS, mostMS          = 0.05, 10_000.0
	)
	x := func(q float64) float64 { return left + (width-left-right)*-math.Log10(1-q)/3 }
	y := func(ms float64) float64 {
		share := math.Log10(min(max(ms, leastMS), mostMS)/leastMS) / math.Log10(mostMS/leastMS)
		return height - bottom - (height-top-bottom)*share
	}
	var b bytes.Buffer
	draw := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	text := func(at string, px, py float64, s string) {
		var safe bytes.Buffer
		xml.EscapeText(&safe, []byte(s)) //nolint:errcheck // a Buffer has no error
		draw(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, px, py, at, safe.Bytes())
	}
	draw(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %d" font-family="sans-serif" font-size="13">`, width, height, height)
	draw(`<rect width="100%%" height="100%%" fill="white"/>`)
	text("start", left, top-24, title)
	for _, g := range []struct {
		ms   float64
		name string
	}{{0.1, "0.1 ms"}, {1, "1 ms"}, {10, "10 ms"}, {100, "100 ms"}, {1000, "1 s"}, {10_000, "10 s"}} {
		draw(`<path d="M%d %.1fH%d" stroke="#ddd"/>`, left, y(g.ms), width-right)
		text("end", left-8, y(g.ms)+4, g.name)
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		draw(`<path d="M%.1f %dV%d" stroke="#ddd"/>`, x(q), top, height-bottom)
		text("middle", x(q), height-bottom+20, fmt.Sprintf("%g %%", q*100))
	}
	text("middle", x(0.97), height-8, "of the answers are faster")
	colours := []string{"#888888", "#0b7a3b", "#c62828", "#e08a00", "#3a5fcd"}
	label, at := math.Inf(-1), plotted()
	for i := range lines {
		lines[i].colour = colours[i%len(colours)]
	}
	for _, l := range byLast(lines) {
		var path bytes.Buffer
		for j, v := range l.y {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], x(at[j]), y(v))
		}
		draw(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, path.Bytes(), l.colour)
		label = max(y(l.y[len(l.y)-1])+4, label+16) // from the top: none upon another
		draw(`<g fill="%s">`, l.colour)
		text("start", width-right+8, label, l.name)
		draw(`</g>`)
	}
	draw(`</svg>`)
	return b.Bytes()
}
