package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestQuantilePlotIsWellFormed(t *testing.T) {
	flat := func(ms float64) (y []float64) {
		for range plotted() {
			y = append(y, ms)
		}
		return y
	}
	svg := string(quantilePlot("a < b", []line{{name: "slow & steady", y: flat(1e9)}, {name: "fast", y: flat(0)}}))
	curves := 0
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "stroke-width" {
					curves++
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s=%q", a.Name.Local, a.Value)
				}
			}
		}
	}
	if curves != 2 {
		t.Errorf("%d curves, want 2", curves)
	}
}
