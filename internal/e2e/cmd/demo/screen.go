package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// screen is what the audience sees. All output goes to it.
type screen struct {
	w      io.Writer
	tty    bool
	scenes int
	held   int // claims
	broken []string
	begun  time.Time
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		s.tty = err == nil
	}
	return s
}

func (s *screen) colour(code, text string) string {
	if !s.tty || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) printf(format string, a ...any) {
	fmt.Fprintf(s.w, format, a...) //nolint:errcheck // who reads may leave
}

// scene begins a part.
func (s *screen) scene(title string) {
	s.scenes++
	s.printf("\n%s\n", s.colour("1", fmt.Sprintf("%d. %s", s.scenes, title)))
}

// command shows what is typed.
func (s *screen) command(words ...string) {
	s.printf("   %s\n", s.colour("36", "$ "+strings.Join(words, " ")))
}

// say tells what is seen or done.
func (s *screen) say(format string, a ...any) {
	s.printf("   %s\n", fmt.Sprintf(format, a...))
}

// print shows output of several lines.
func (s *screen) print(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		s.printf("   %s", line)
	}
}

// claim says that something holds, or that it does not.
func (s *screen) claim(holds bool, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if holds {
		s.held++
		s.printf("   %s %s\n", s.colour("32", "✓"), text)
		return
	}
	s.broken = append(s.broken, text)
	s.printf("   %s\n", s.colour("31", "✗ DOES NOT HOLD: "+text))
}

// verdict sums up and returns the exit status.
func (s *screen) verdict(err error) int {
	took := time.Since(s.begun).Round(100 * time.Millisecond)
	switch {
	case len(s.broken) > 0:
		s.printf("\n%s\n", s.colour("31", fmt.Sprintf("%d claims do not hold:", len(s.broken))))
		for _, text := range s.broken {
			s.printf("  ✗ %s\n", text)
		}
		return 1
	case err != nil:
		return 1
	}
	s.printf("\n%s\n", s.colour("1;32", fmt.Sprintf("All %d claims hold. (%s)", s.held, took)))
	return 0
}
