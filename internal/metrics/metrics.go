// Package metrics is what Paceline tells Prometheus: which figures there are, and their
// text format.
package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a figure does over time.
type Kind string

// The kinds.
const (
	Counter Kind = "counter" // it only grows, and begins at 0 now and then
	Gauge   Kind = "gauge"
)

// Family is all values of one figure.
type Family struct {
	Name   string // by Prometheus' conventions
	Kind   Kind
	Help   string   // one line
	Labels []string // in their order
}

// Sample is one value, with the values of its family's labels.
type Sample struct {
	Labels []string
	Value  float64
}

// Writer puts a text in Prometheus' format together. The zero value is an empty one.
type Writer struct {
	b []byte
}

// Bytes returns the text so far.
func (w *Writer) Bytes() []byte { return w.b }

// Write adds a family with its values, which must differ in their labels; none is
// written if there are no values. Each family is written once. A sample with another
// number of labels than its family is a bug, and panics.
func (w *Writer) Write(f Family, samples ...Sample) {
	if len(samples) == 0 {
		return
	}
	w.b = append(w.b, "# HELP "+f.Name+" "+escape(f.Help, false)+"\n# TYPE "+f.Name+" "+string(f.Kind)+"\n"...)
	for _, s := range samples {
		if len(s.Labels) != len(f.Labels) {
			panic("metrics: " + f.Name + " has labels " + strings.Join(f.Labels, ", "))
		}
		w.b = append(w.b, f.Name...)
		for i, name := range f.Labels {
			sep := byte(',')
			if i == 0 {
				sep = '{'
			}
			w.b = append(w.b, sep)
			w.b = append(w.b, name...)
			w.b = append(w.b, '=', '"')
			w.b = append(w.b, escape(s.Labels[i], true)...)
			w.b = append(w.b, '"')
		}
		if len(f.Labels) > 0 {
			w.b = append(w.b, '}')
		}
		w.b = append(append(w.b, ' '), number(s.Value)...)
		w.b = append(w.b, '\n')
	}
}

// escape makes text fit a help line or, quoted, a label's value. What is not UTF-8 is
// replaced, as Prometheus refuses it.
func escape(text string, quoted bool) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == '\\' || r == '\n' || r == '"' || r == '\uFFFD' }) {
		return text
	}
	pairs := []string{`\`, `\\`, "\n", `\n`}
	if quoted {
		pairs = append(pairs, `"`, `\"`)
	}
	return strings.NewReplacer(pairs...).Replace(strings.ToValidUTF8(text, "\uFFFD"))
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Truth is 1 for yes and 0 for no.
func Truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Families lists all figures in the order in which they are written.
func Families() []Family { return slices.Clone(families) }

// Named returns the family of a name; one that there is not is a bug, and panics.
func Named(name string) Family {
	i := slices.IndexFunc(families, func(f Family) bool { return f.Name == name })
	if i < 0 {
		panic("metrics: there is no " + name)
	}
	return families[i]
}
