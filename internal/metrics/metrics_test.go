package metrics

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWrite(t *testing.T) {
	var w Writer
	f := Family{Name: "x_total", Kind: Counter, Help: "A \\ and\na \"quote\".", Labels: []string{"app", "path"}}
	w.Write(f, Sample{[]string{"a\"b\\c\nd", "\xff"}, 3}, Sample{[]string{"", "ü"}, 0.25})
	w.Write(Family{Name: "none", Kind: Gauge})
	w.Write(Family{Name: "y", Kind: Gauge, Help: "Plain."}, Sample{nil, math.NaN()})
	want := `# HELP x_total A \\ and\na "quote".
# TYPE x_total counter
x_total{app="a\"b\\c\nd",path="` + "\uFFFD" + `"} 3
x_total{app="",path="ü"} 0.25
# HELP y Plain.
# TYPE y gauge
y NaN
`
	if got := string(w.Bytes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for v, want := range map[float64]string{
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf", 1e15: "1000000000000000", 1e300: "1e+300", -2.5: "-2.5", 0: "0",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

func TestWriteRefusesOtherLabels(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a sample without its label is written")
		}
	}()
	new(Writer).Write(Family{Name: "x", Labels: []string{"app"}}, Sample{})
}

func TestParseValue(t *testing.T) {
	for text, want := range map[string]float64{
		"9.23": 9.23, "0": 0, "-4": -4, "12ms": 12, "12 ms": 12, " 80 % ": 80, "1e3": 1000, "5 req/min": 5, "5e": 5,
		"true": 1, "false": 0, "3 events": 3, ".5": 0.5, "45MB": 45,
	} {
		if got, ok := ParseValue(text); !ok || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "N/A", "ms", "1.2.3", "10:30", "2026-05-01", "1,000", "NaN", "Infinity", "0x10", "1e999", "{}", "[1]", "5 of 7",
		"3 " + strings.Repeat("x", 40),
	} {
		if got, ok := ParseValue(text); ok {
			t.Errorf("%q: got %v, want none", text, got)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("9.23", "a\\\"\n")
	f.Add("1e5e5", "\xff\xfe")
	f.Fuzz(func(t *testing.T, value, label string) {
		v, ok := ParseValue(value)
		if ok && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Errorf("%q is %v", value, v)
		}
		var w Writer
		w.Write(Family{Name: "x", Kind: Gauge, Help: label, Labels: []string{"l"}}, Sample{[]string{label}, v})
		text := string(w.Bytes())
		lines := strings.Split(text, "\n")
		if !utf8.ValidString(text) || len(lines) != 4 || !sampleLine.MatchString(lines[2]) {
			t.Errorf("%q, %q: wrote %q", value, label, text)
		}
	})
}

var sampleLine = regexp.MustCompile(`^x\{l="([^"\\]|\\["\\n])*"\} -?[0-9][-+.e0-9]*$`)

// TestNamesFollowTheConventions holds the names to what Prometheus recommends.
func TestNamesFollowTheConventions(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Families() {
		if !regexp.MustCompile(`^paceline_[a-z]+(_[a-z]+)*$`).MatchString(f.Name) || seen[f.Name] {
			t.Errorf("%s: no name, or there twice", f.Name)
		}
		seen[f.Name] = true
		if strings.HasSuffix(f.Name, "_total") != (f.Kind == Counter) {
			t.Errorf("%s is a %s", f.Name, f.Kind)
		}
		if f.Help == "" || strings.ContainsAny(f.Help, "\n|") {
			t.Errorf("%s: help %q", f.Name, f.Help)
		}
		for _, label := range f.Labels {
			// Those of a scrape would be renamed to exported_*.
			if slices.Contains([]string{"job", "instance", "le", "quantile"}, label) || !regexp.MustCompile(`^[a-z]+$`).MatchString(label) {
				t.Errorf("%s: label %q", f.Name, label)
			}
		}
		if Named(f.Name).Help != f.Help {
			t.Errorf("Named(%s) is another", f.Name)
		}
	}
}

// TestDocsListAllMetrics holds the table in the manual against the one here; UPDATE=1
// writes it.
func TestDocsListAllMetrics(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- metrics -->\n", "<!-- /metrics -->"
	var table strings.Builder
	table.WriteString("| name | kind | labels | what |\n|---|---|---|---|\n")
	for _, f := range Families() {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.Name, f.Kind, strings.Join(f.Labels, ", "), f.Help)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	got, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	if got == table.String() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the table in %s is not that of this package; UPDATE=1 writes it", path)
	}
	if err := os.WriteFile(path, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
