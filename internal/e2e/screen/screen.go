// Package screen runs a program on a terminal of its own and tells what is on it.
package screen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// Screen is a terminal with a program on it. Its methods may be called concurrently.
type Screen struct {
	cmd   *exec.Cmd
	tty   *os.File
	done  chan struct{} // closed when the program has closed the terminal
	reply sync.WaitGroup

	mu       sync.Mutex // guards what follows
	terminal *vt.Emulator
	written  int
	changed  chan struct{} // closed and replaced with each write
}

// Start runs cmd, which must not be started, on a terminal of that size. It must be
// closed.
func Start(cmd *exec.Cmd, width, height int) (*Screen, error) {
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
	if err != nil {
		return nil, fmt.Errorf("start %s on a terminal: %w", cmd.Path, err)
	}
	s := &Screen{cmd: cmd, tty: tty, done: make(chan struct{}), terminal: vt.NewEmulator(width, height), changed: make(chan struct{})}
	// The emulator answers what the program asks of a terminal through a pipe without
	// room, so somebody has to read it all the time.
	s.reply.Go(func() { io.Copy(tty, s.terminal) }) //nolint:errcheck // the program may have left
	go s.draw()
	return s, nil
}

// draw has the emulator act on what the program writes.
func (s *Screen) draw() {
	defer close(s.done)
	block := make([]byte, 32<<10)
	for {
		n, err := s.tty.Read(block) // ends with EIO when the last program has closed its side
		s.mu.Lock()
		s.terminal.Write(block[:n]) //nolint:errcheck // cannot fail before Close
		s.written += n
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Text returns what is on the screen, without blanks at the ends of lines.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text()
}

func (s *Screen) text() string {
	var b strings.Builder
	for y := range s.terminal.Height() {
		var line strings.Builder
		for x := 0; x < s.terminal.Width(); x++ {
			cell := s.terminal.CellAt(x, y)
			switch {
			case cell == nil || cell.Content == "":
				line.WriteByte(' ')
			default:
				line.WriteString(cell.Content)
				x += max(cell.Width, 1) - 1
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// Coloured reports whether any cell has a colour.
func (s *Screen) Coloured() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for y := range s.terminal.Height() {
		for x := range s.terminal.Width() {
			if cell := s.terminal.CellAt(x, y); cell != nil && (cell.Style.Fg != nil || cell.Style.Bg != nil) {
				return true
			}
		}
	}
	return false
}

// Whole reports whether the program has the whole screen for itself.
func (s *Screen) Whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terminal.IsAltScreen()
}

// Written is how many bytes the program has sent to the terminal.
func (s *Screen) Written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// Type sends keys.
func (s *Screen) Type(keys string) error {
	if _, err := io.WriteString(s.tty, keys); err != nil {
		return fmt.Errorf("type: %w", err)
	}
	return nil
}

// Resize changes the size of the terminal, of which the program is told.
func (s *Screen) Resize(width, height int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminal.Resize(width, height)
	return pty.Setsize(s.tty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
}

// Wait waits until ok holds of what is on the screen, and returns that.
func (s *Screen) Wait(ctx context.Context, ok func(text string) bool) (string, error) {
	for {
		s.mu.Lock()
		text, changed := s.text(), s.changed
		s.mu.Unlock()
		if ok(text) {
			return text, nil
		}
		select {
		case <-changed:
		case <-s.done:
			if text := s.Text(); ok(text) {
				return text, nil
			}
			return s.Text(), errors.New("the program has left the terminal")
		case <-ctx.Done():
			return s.Text(), context.Cause(ctx)
		}
	}
}

// Exit waits until the program has ended, and returns its exit status.
func (s *Screen) Exit(ctx context.Context) (int, error) {
	select {
	case <-s.done:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	err := s.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok || err == nil {
		if ok {
			return exit.ExitCode(), nil
		}
		return 0, nil
	}
	return 0, err
}

// Raw reports whether the terminal hands over keys as they are typed, as programs for
// the whole screen want it, and shells do not.
func (s *Screen) Raw() (bool, error) { return isRaw(int(s.tty.Fd())) }

// PID is the process id of the program.
func (s *Screen) PID() int { return s.cmd.Process.Pid }

// Close ends what still runs and frees the terminal.
func (s *Screen) Close() error {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill() //nolint:errcheck // it may have ended
		select {
		case <-s.done:
		case <-time.After(time.Minute):
			return errors.New("the terminal is still in use a minute after its program was killed")
		}
		s.cmd.Wait() //nolint:errcheck // it was killed
	}
	var err error
	if pipe, ok := s.terminal.InputPipe().(io.Closer); ok { // the emulator's own Close is not for two goroutines
		err = pipe.Close()
	}
	s.reply.Wait()
	return errors.Join(err, s.tty.Close())
}
