package daemon

import (
	"errors"
	"fmt"
	"os"

	"paceline/internal/app"
	"paceline/internal/keeper"
)

// input is the standard input of a process: a pipe whose write end the keeper has,
// too, so that it stays open while there is no daemon.
type input struct {
	pipe *os.File
	turn chan struct{} // holds a token while somebody writes
}

// What becomes of data that a process does not take.
var (
	errInputFull   = errors.New("it does not read its input")
	errInputClosed = errors.New("it has closed its input")
	errNoInput     = errors.New("it has no input: only apps in fork mode do")
)

// hasInput reports whether the app's processes can be written to. As with PM2 these
// are those in fork mode; the others find /dev/null.
func hasInput(s *app.Spec) bool { return s.Mode == app.Fork }

func newInput(pipe *os.File) *input { return &input{pipe: pipe, turn: make(chan struct{}, 1)} }

// openInput makes the pipe for a process that is about to start: its end, and the
// keeper's duplicate of ours.
func (h *host) openInput(p *process) (child *os.File, kept keeper.Named, err error) {
	child, write, err := openInputPipe()
	if err != nil {
		return nil, keeper.Named{}, fmt.Errorf("open input pipe: %w", err)
	}
	dup, err := duplicate(write)
	if err != nil {
		return nil, keeper.Named{}, errors.Join(err, child.Close(), write.Close())
	}
	p.input = newInput(write)
	return child, keeper.Named{Name: inputName(p.key), Note: []byte{}, File: dup}, nil
}

// write passes data on, all of it or nothing, and never waits for the process.
// Errors: errInputFull, errInputClosed.
func (in *input) write(data []byte) error {
	in.turn <- struct{}{} // others take as long as a system call
	defer func() { <-in.turn }()
	return writeInput(in.pipe, data)
}

// closeInput lets go of our end.
func (h *host) closeInput(p *process) {
	if p.input == nil {
		return
	}
	if err := p.input.pipe.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		h.log.Debug("close input", "process", p.key, "error", err)
	}
}
