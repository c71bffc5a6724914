package search

import (
	"bytes"
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

// TestPatternsFindWhatTheExpressionFinds holds the search by needles against a plain
// one, line by line.
func TestPatternsFindWhatTheExpressionFinds(t *testing.T) {
	block := []byte("one ERROR two\nerror\n\nKelvin \u212a and \u017f\ntimeout: refused\nTimed Out\r\nstatus=503 x\na.b\nlast error without an end")
	for _, expr := range []string{
		"error", "ERROR|refused", "(?i)error", "timed out|refused|a.b", "status=5[0-9]+", "^$", "$", "x*", "k|s", "out$", "(a)+\\.b",
		"(?:er){1,2}ror", "[^a]", "\n", "error\none", "", "é", "^last", "two$", "e.*d$",
	} {
		for _, fold := range []bool{false, true} {
			p, err := Compile(expr, fold, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := found(p, block), plainly(expr, fold, block); got != want {
				t.Errorf("%q, any case %v: got %q, want %q", expr, fold, got, want)
			}
		}
	}
	if _, err := Compile("(", false, false); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a broken expression: %v", err)
	}
}

func found(p *Pattern, block []byte) string {
	var b strings.Builder
	f := newFinder(p)
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

func plainly(expr string, fold bool, block []byte) string {
	if fold {
		expr = "(?i)" + expr
	}
	re := regexp.MustCompile(expr)
	var b strings.Builder
	for line := range bytes.Lines(block) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if re.Match(bytes.TrimSuffix(line, []byte{'\r'})) {
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func FuzzPattern(f *testing.F) {
	f.Add("error|warn", "an error\nnone\nWARN", true)
	f.Add("ks+", "\u212aS\n", true)
	f.Fuzz(func(t *testing.T, expr, text string, fold bool) {
		p, err := Compile(expr, fold, false)
		if err != nil || len(expr) > 100 || len(text) > 10_000 {
			return
		}
		if got, want := found(p, []byte(text)), plainly(expr, fold, []byte(text)); got != want {
			t.Errorf("%q, any case %v, in %q: got %q, want %q", expr, fold, text, got, want)
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
