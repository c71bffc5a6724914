package search

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
	"paceline/internal/dayjs"
)

// TestTimesOfLines: near is 2026-03-04, and a time without a zone is at +02:00.
func TestTimesOfLines(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	c := clock{zone: zone, near: day}
	for line, want := range map[string]string{
		`2026-03-04T12:00:01.250Z x`:                                         "2026-03-04T12:00:01.25Z",
		`2026-03-04T12:00:01 x`:                                              "2026-03-04T10:00:01Z",
		`2026-03-04 12:00:01,5 INFO x`:                                       "2026-03-04T10:00:01.5Z",
		`2026-03-04 12:00:01.123456789 +0100 x`:                              "2026-03-04T11:00:01.123456789Z",
		`2026-03-04T12:00:01-07:00 x`:                                        "2026-03-04T19:00:01Z",
		`2026/03/04 12:00:01 a Go program`:                                   "2026-03-04T10:00:01Z",
		`2026-03-04-12:00:01 pm2`:                                            "2026-03-04T10:00:01Z",
		`[2026-03-04T12:00:01Z] x`:                                           "2026-03-04T12:00:01Z",
		"\x1b[32m2026-03-04T12:00:01Z\x1b[0m x":                              "2026-03-04T12:00:01Z",
		`Mar  4 12:00:01 host prog[1]: x`:                                    "2026-03-04T10:00:01Z",
		`Dec 31 23:59:59 host prog: last year`:                               "2025-12-31T21:59:59Z",
		`<34>1 2026-03-04T12:00:01.003Z host app - - - x`:                    "2026-03-04T12:00:01.003Z",
		`<34>Mar  4 12:00:01 host app: x`:                                    "2026-03-04T10:00:01Z",
		`E0304 12:00:01.500000 123 file.go:1] x`:                             "2026-03-04T10:00:01.5Z",
		`127.0.0.1 - - [04/Mar/2026:12:00:01 -0700] "GET / HTTP/1.1" 200`:    "2026-03-04T19:00:01Z",
		`[Wed Mar 04 12:00:01.902022 2026] [core:error] apache`:              "2026-03-04T10:00:01.902022Z",
		`{"level":30,"time":1772625601250,"msg":"pino"}`:                     "2026-03-04T12:00:01.25Z",
		`{"msg":"zap \"ts\":1","ts":1772625601.25}`:                          "2026-03-04T12:00:01.25Z",
		`{"a":{"time":"x"},"b":[1,"]"],"@timestamp":"2026-03-04T12:00:01Z"}`: "2026-03-04T12:00:01Z",
		`{"message":"x\n","timestamp":"2026-03-04T12:00:01.000Z"}`:           "2026-03-04T12:00:01Z",
		`level=info ts=2026-03-04T12:00:01Z msg=x`:                           "2026-03-04T12:00:01Z",
		`msg=x time="2026-03-04T12:00:01Z"`:                                  "2026-03-04T12:00:01Z",
		`no time at all`:                                                     "",
		`2026-13-04T12:00:01Z`:                                               "",
		`12345678-901234:56:78`:                                              "",
		`{"time":{"x":1}`:                                                    "",
		`Jan is a month`:                                                     "",
		`[warning] 12:00`:                                                    "",
		`{"time":1e400}`:                                                     "",
		`{"ts":"NaNNaNNaN"}`:                                                 "",
		"":                                                                   "",
	} {
		at, ok := c.read([]byte(line))
		got := ""
		if ok {
			got = time.Unix(0, at).UTC().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	format, err := dayjs.Parse("DD.MM.YYYY HH:mm:ss.SSS")
	if err != nil {
		t.Fatal(err)
	}
	c.format = &format
	if at, ok := c.read([]byte("04.03.2026 12:00:01.250: x")); !ok || !time.Unix(0, at).Equal(at2(10)) {
		t.Errorf("log_date_format: %v, %v", time.Unix(0, at).UTC(), ok)
	}
}

func at2(hour int) time.Time { return time.Date(2026, 3, 4, hour, 0, 1, 250e6, time.UTC) }

func TestLevelsOfLines(t *testing.T) {
	for line, want := range map[string]app.Level{
		`{"level":50,"msg":"x"}`:  app.LevelError,
		`{"level":"warn"}`:        app.LevelWarn,
		`{"severity":"CRITICAL"}`: app.LevelFatal,
		`{"message":"[ERROR] x\n","timestamp":"2026","type":"out"}`: app.LevelError,
		`{"msg":"x"}`: app.LevelNone,
		`time=2026-03-04T12:00:01Z level=debug msg="ERROR no"`: app.LevelDebug,
		`2026-03-04 12:00:01 [error] 12#12: *1 open() failed`:  app.LevelError,
		`2026-03-04T12:00:01Z ERROR x`:                         app.LevelError,
		"\x1b[31mERROR\x1b[0m x":                               app.LevelError,
		`[2026-03-04] (WARN) x`:                                app.LevelWarn,
		`W0304 12:00:01.5 1 f.go:1] x`:                         app.LevelWarn,
		`<3>broken`:                                            app.LevelError,
		`<14>1 2026-03-04T12:00:01Z h a - - - x`:               app.LevelInfo,
		`npm ERR! code`:                                        app.LevelError,
		`error: it broke`:                                      app.LevelError,
		`Warning: deprecated`:                                  app.LevelWarn,
		`panic: runtime error`:                                 app.LevelFatal,
		`there was no error: all is well`:                      app.LevelNone,
		`GET /error HTTP/1.1`:                                  app.LevelNone,
		`LOG_LEVEL_ERROR is set`:                               app.LevelNone,
		`the word information means nothing`:                   app.LevelNone,
		``:                                                     app.LevelNone,
	} {
		if got := levelOf([]byte(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// forms are the ways in which a pattern is looked for: with its needles, without them,
// and by package regexp.
func forms(t *testing.T, expr string, fold, invert bool) map[string]*finder {
	t.Helper()
	p, err := Compile(expr, fold, invert)
	if err != nil {
		t.Fatal(err)
	}
	bare := *p
	bare.needles, bare.plain = nil, false
	return map[string]*finder{
		"as it is": newFinder(p, newDFA(p.auto)), "without needles": newFinder(&bare, newDFA(p.auto)), "without a table": newFinder(p, nil),
	}
}

// TestPatternsFindWhatTheExpressionFinds holds each form against a plain search, line by
// line.
func TestPatternsFindWhatTheExpressionFinds(t *testing.T) {
	block := []byte("one ERROR two\nerror\n\nKelvin \u212a and \u017f\ntimeout: refused\nTimed Out\r\nstatus=503 x\na.b\n\r\n\r\r\nback\rand forth\n" +
		"caf\u00e9 \u65e5\u672c\u8a9e \U0001f44d\n\xff\xc3\ncut \xe6\x97\n\ufffd\n0123 abc_def\nlast error without an end")
	for _, expr := range []string{
		"error", "ERROR|refused", "(?i)error", "timed out|refused|a.b", "status=5[0-9]+", "^$", "$", "x*", "k|s", "out$", "(a)+\\.b",
		"(?:er){1,2}ror", "[^a]", "\n", "error\none", "", "\u00e9", "^last", "two$", "e.*d$",
		"[0-9a-f]{4}", `\d{3}`, `\bb`, `\Bor\b`, `\w+_\w`, `^\W`, `\s\S+\s`, `^.$`, `^..$`, "\ufffd", `[^\x00-\x7f]`, `\pL{3}`, `\p{Han}+ `, `(?s)^.*\z`, `(?m)^l|t$`,
		"\r", "\r$", `[[:cntrl:]]`, `^(o|t).*(o|d)$`, `(?:a|b|c){3}`, `^a|^b|k\b`, `$^`, `\b`, `^\B`, `[^\n]{9,}`, `(?U)e+?r`, `\Qa.b\E`, `(?i:K)(?-i:e)`, "[\u0400-\u04ff]|\U0001f44d",
	} {
		for _, fold := range []bool{false, true} {
			for _, invert := range []bool{false, true} {
				want := plainly(expr, fold, invert, block)
				for form, f := range forms(t, expr, fold, invert) {
					if got := found(f, block); got != want {
						t.Errorf("%q %s, any case %v, inverted %v: got %q, want %q", expr, form, fold, invert, got, want)
					}
				}
			}
		}
	}
	// Of so many lines with a needle that it is left.
	many := bytes.Repeat([]byte("an error of many\nmany more\n"), 100)
	many = append(many, "error 7\n"...)
	f := forms(t, `error \d`, false, false)["as it is"]
	if got := found(f, many); got != "error 7\n" || !f.dense {
		t.Errorf("among many: %q, the needle is left: %v", got, f.dense)
	}
	if _, err := Compile("(", false, false); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a broken expression: %v", err)
	}
}

// TestPatternsOfManyStates: a table that becomes too large is made anew as long as that
// is worth it, and given up when it is not. Whatever is done, the same is found.
func TestPatternsOfManyStates(t *testing.T) {
	const expr = `(a|b)*a(a|b){13}c`
	random := rand.New(rand.NewPCG(1, 2))
	line := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab"[random.IntN(2)]
		}
		if random.IntN(2) == 0 {
			b[n-1] = 'c'
		}
		return string(b) + "\n"
	}
	for _, c := range []struct {
		lines, length, repeated int
		useless                 bool
	}{{100, 100, 1, true}, {200, 40, 60, false}} {
		p := compile(t, expr)
		d := newDFA(p.auto)
		var text, want strings.Builder
		for range c.lines {
			one := line(c.length)
			text.WriteString(strings.Repeat(one, c.repeated))
			if p.re.MatchString(strings.TrimSuffix(one, "\n")) {
				want.WriteString(strings.Repeat(one, c.repeated))
			}
		}
		if got := found(newFinder(p, d), []byte(text.String())); got != want.String() {
			t.Errorf("useless %v: %d bytes found, want %d", c.useless, len(got), want.Len())
		}
		if d.useless != c.useless || d.read > text.Len()*3/4 {
			t.Errorf("given up %v, want %v; %d of %d bytes since it was made anew", d.useless, c.useless, d.read, text.Len())
		}
		if len(d.sets) > maxStates || len(d.table) > maxEntries || len(d.pool) > maxEntries {
			t.Errorf("%d states, a table of %d, %d instructions", len(d.sets), len(d.table), len(d.pool))
		}
	}
	if p := compile(t, `[a-z]{900}|x`); p.auto == nil {
		t.Error("a pattern of 900 has no table")
	}
	large := compile(t, "^"+strings.Repeat("x{99}", 120))
	if large.auto != nil {
		t.Error("a pattern of 12,000 has a table")
	}
	if got := found(newFinder(large, newDFA(large.auto)), []byte("abc\n"+strings.Repeat("x", 12_000)+"\n")); len(got) != 12_001 {
		t.Errorf("a large pattern finds %d bytes", len(got))
	}
}

func found(f *finder, block []byte) string {
	var b strings.Builder
	for at := 0; ; {
		from, to := f.line(block, at)
		if from < 0 {
			return b.String()
		}
		b.Write(block[from:to])
		b.WriteByte('\n')
		at = min(to+1, len(block))
	}
}

func plainly(expr string, fold, invert bool, block []byte) string {
	if fold {
		expr = "(?i)" + expr
	}
	re := regexp.MustCompile(expr)
	var b strings.Builder
	for line := range bytes.Lines(block) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if re.Match(bytes.TrimSuffix(line, []byte{'\r'})) != invert {
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func FuzzPattern(f *testing.F) {
	f.Add("error|warn", "an error\nnone\nWARN", true, false)
	f.Add("ks+", "\u212aS\n", true, false)
	f.Add(`^\w+\b \d{2}[^\x00-\x7f]?$`, "a 12\u00e9\r\nb 1\xff\n", false, true)
	f.Add(`\B\pL|(?:a|b){2,3}$`, "\u65e5\u672c ab\nba\n", true, true)
	f.Fuzz(func(t *testing.T, expr, text string, fold, invert bool) {
		if _, err := Compile(expr, fold, invert); err != nil || len(expr) > 100 || len(text) > 10_000 {
			return
		}
		want := plainly(expr, fold, invert, []byte(text))
		for form, f := range forms(t, expr, fold, invert) {
			if got := found(f, []byte(text)); got != want {
				t.Errorf("%q %s, any case %v, inverted %v, in %q: got %q, want %q", expr, form, fold, invert, text, got, want)
			}
		}
	})
}

// FuzzLine: no line, whatever is in it, makes the readers of times and levels fail.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"time":1772625601250,"level":"warn"}`), "YYYY-MM-DD HH:mm:ss Z")
	f.Add([]byte(`[04/Mar/2026:12:00:01 -0700]`), "MMM D YY h:m:s A")
	f.Add([]byte("<34>1 2026-03-04T12:00:01.003Z \x1b[31mERR"), "X")
	f.Fuzz(func(t *testing.T, line []byte, format string) {
		c := clock{zone: time.UTC, near: day}
		if parsed, err := dayjs.Parse(format); err == nil {
			c.format = &parsed
		}
		first, ok := c.read(line)
		if second, again := c.read(line); first != second || ok != again {
			t.Errorf("%q is read as %d, then as %d", line, first, second)
		}
		if l := levelOf(line); l < app.LevelNone || l > app.LevelFatal {
			t.Errorf("%q: level %d", line, l)
		}
		harmlessMembers(line)
	})
}

func harmlessMembers(line []byte) { members(line, func(member) bool { return true }) }
