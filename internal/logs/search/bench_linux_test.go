package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paceline/internal/app"
	"paceline/internal/logs"
)

// BenchmarkSearch reads 64 MB of log lines; MB/cpu-s is what one core could do if it did
// nothing else.
func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "a.log")
	var text strings.Builder
	for i := 0; text.Len() < 64<<20; i++ {
		fmt.Fprintf(&text, "%s INFO request id=%08x method=GET path=/api/items/%d status=200 took=%dms\n", stamp(i/100), i*2654435761, i%977, i%97)
	}
	t := &testing.T{}
	write(t, path, text.String(), at(10_000_000))
	old := filepath.Join(dir, "old.log")
	write(t, old+".1.gz", text.String(), at(10_000_000))
	letters := filepath.Join(dir, "letters.log")
	write(t, letters, strings.Repeat("соединение с базой данных установлено за 12 мс, пользователь 77\n", text.Len()/114), at(10_000_000))
	fold, err := Compile("connection RESET", true, false)
	if err != nil {
		b.Fatal(err)
	}
	inverted, err := Compile("INFO .*GET", false, true)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		q          Query
	}{
		{"literal", path, Query{Lines: -1, Pattern: compile(t, "connection reset")}},
		{"regexp", path, Query{Lines: -1, Pattern: compile(t, `status=5\d\d`)}},
		{"alternatives", path, Query{Lines: -1, Pattern: compile(t, `refused|reset by|timed out`)}},
		{"fold", path, Query{Lines: -1, Pattern: fold}},
		{"noliteral", path, Query{Lines: -1, Pattern: compile(t, `[0-9a-f]{16}`)}},
		{"digits", path, Query{Lines: -1, Pattern: compile(t, `\b5\d{2}\b.*\d{4}ms$`)}},
		{"everyline", path, Query{Lines: -1, Pattern: compile(t, `GET.*status=5\d\d`)}},
		{"common", path, Query{Lines: -1, Pattern: compile(t, `method=\w+ path=/api/v2`)}},
		{"foldcommon", path, Query{Lines: -1, Pattern: compile(t, `(?i)error`)}},
		{"foldany", path, Query{Lines: -1, Pattern: compile(t, `(?i)k{2}`)}},
		{"words", path, Query{Lines: -1, Pattern: compile(t, `a1z|b2z|c3z|d4z|e5z|f6z|g7z|h8z|i9z|j0z`)}},
		{"unicode", path, Query{Lines: -1, Pattern: compile(t, `\p{Greek}+`)}},
		{"anchored", path, Query{Lines: -1, Pattern: compile(t, `^\d{5}`)}},
		{"invert", path, Query{Lines: -1, Pattern: inverted}},
		{"manystates", path, Query{Lines: -1, Pattern: compile(t, `[0-9a-f].{12}[^ -~]`)}},
		{"cyrillic", letters, Query{Lines: -1, Pattern: compile(t, `[0-9a-f]{16}`)}},
		{"cyrillicfold", letters, Query{Lines: -1, Pattern: compile(t, `(?i)ОШИБКА`)}},
		{"gzip", old, Query{Lines: -1, Pattern: compile(t, "connection reset")}},
		{"level", path, Query{Lines: -1, Level: app.LevelError}},
		{"since", path, Query{Lines: -1, Since: at(1_000_000)}},
		{"all", path, Query{Lines: -1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var before, after syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
				b.Fatal(err)
			}
			rounds := 0
			for b.Loop() {
				rounds++
				s := New(c.q)
				if err := s.Add(Source{Source: logs.Source{Path: c.path}}); err != nil {
					b.Fatal(err)
				}
				for {
					_, err := s.Next(context.Background())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
				b.Fatal(err)
			}
			spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(rounds)*float64(text.Len())/(float64(spent)/1e9)/1e6, "MB/cpu-s")
		})
	}
}
