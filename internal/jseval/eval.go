package jseval

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Eval evaluates a config in a child process and returns its value as JSON, as
// Node's JSON.stringify gives it: without functions, with a Date as text. A promise
// is awaited. It blocks until the child has ended, at most o.Timeout.
//
// Errors: *Error for what is wrong with the config, ctx's error, others for a child
// that could not run. It may be called concurrently.
func Eval(ctx context.Context, src Source, o Options) ([]byte, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	req, err := src.request(o)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
	defer cancel()

	cmd := exec.CommandContext(limited, o.Exe)
	cmd.Args = []string{filepath.Base(o.Exe), Role}
	cmd.Dir = req.Dir
	cmd.Env = surroundings(src.Environ)
	var crash bytes.Buffer
	cmd.Stderr = &firstBytes{w: &crash, left: 4 << 10}
	defer tie(cmd)()
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("prepare the child: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("prepare the child: %w", errors.Join(err, stdin.Close()))
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the evaluation of %s: %w", req.label(), err)
	}
	// stdin stays open until the child has ended: where the kernel does not tie the
	// two together, its end tells the child that we are gone.
	_, sent := stdin.Write(append(line, '\n'))
	last, read := answers(stdout, o.Log)
	if read != nil { // it says something else than an answer: it is not waited for
		cancel()
	}
	ended := cmd.Wait()

	var silent *Error
	switch {
	case last.Error != nil:
		return nil, last.Error
	case last.Value != nil:
		return last.Value, nil
	case context.Cause(limited) == errTimeout: //nolint:errorlint // the very value
		silent = &Error{File: req.label(), Message: tooLong(o.Timeout)}
	case ctx.Err() != nil:
		return nil, fmt.Errorf("evaluate %s: %w", req.label(), context.Cause(ctx))
	case outOfMemoryCrash(crash.String()):
		silent = &Error{File: req.label(), Message: outOfMemory(o.MemoryBytes)}
	default:
		why := errors.Join(sent, read, ended)
		if text, _, _ := strings.Cut(strings.TrimSpace(crash.String()), "\n"); text != "" {
			why = fmt.Errorf("%w: %s", why, text)
		}
		return nil, fmt.Errorf("evaluate %s: the child gave no answer: %s", req.label(), oneLine(fmt.Sprint(why)))
	}
	return nil, silent
}

var errTimeout = errors.New("the time for a config file is over")

// outOfMemoryCrash tells by the words of Go's runtime and of the engine's allocator.
func outOfMemoryCrash(text string) bool {
	return strings.Contains(text, "out of memory") || strings.Contains(text, "cannot allocate memory")
}

// surroundings is the environment of the child itself. The config sees another.
// The garbage collector would only cost time: the process is short, and its memory
// limited.
func surroundings(environ []string) []string {
	env := []string{"GOGC=off", "GOMEMLIMIT=256MiB", "GOTRACEBACK=single"}
	for _, kv := range environ {
		if strings.HasPrefix(kv, "TZ=") { // Date shows local time
			env = append(env, kv)
		}
	}
	return env
}

func (src Source) request(o Options) (request, error) {
	req := request{
		File: src.File, Kind: src.Kind, Dir: src.Dir, Environ: src.Environ, Exe: o.Exe,
		Interrupt: o.Timeout - o.Timeout/10, Timeout: o.Timeout, MemoryBytes: o.MemoryBytes, MaxFile: o.MaxFile,
	}
	if req.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return req, fmt.Errorf("find the working directory: %w", err)
		}
		req.Dir = dir
	}
	if src.File == "" || src.File == "-" {
		if src.Text == nil {
			return req, errors.New("evaluate a config: neither a file nor a text")
		}
		req.File = filepath.Join(req.Dir, stdinName)
	}
	if !filepath.IsAbs(req.File) || !filepath.IsAbs(req.Dir) {
		return req, fmt.Errorf("evaluate %s in %s: not absolute", req.File, req.Dir)
	}
	if src.Text != nil {
		if n := int64(len(src.Text)); n > o.MaxFile {
			return req, &Error{File: req.label(), Message: fmt.Sprintf("too large: %s, and at most %s are read", sizeText(n), sizeText(o.MaxFile))}
		}
		text := string(src.Text)
		req.Text = &text
	}
	return req, nil
}

// label is what the user calls the config.
func (r request) label() string {
	if filepath.Base(r.File) == stdinName {
		return "stdin"
	}
	return r.File
}

// answers reads what the child says, passes on what the config prints, and returns
// the last line, empty if there is none.
func answers(r io.Reader, log io.Writer) (last answer, err error) {
	// JSON escapes make a text longer, sixfold at most.
	in := bufio.NewReader(io.LimitReader(r, 6*(maxValue+2*maxLog)))
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return answer{}, nil
		}
		if err != nil {
			return answer{}, fmt.Errorf("read the answer: %w", err)
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return answer{}, fmt.Errorf("read the answer: %w", err)
		}
		if a.Error != nil || a.Value != nil {
			return a, nil //nolint:nilerr // what is wrong with the config is an answer
		}
		if log != nil {
			if _, err := io.WriteString(log, a.Log); err != nil {
				log = nil // whoever would read it is gone; the value is still wanted
			}
		}
	}
}

// firstBytes keeps the beginning of what is written.
type firstBytes struct {
	w    io.Writer
	left int
}

func (f *firstBytes) Write(b []byte) (int, error) {
	n := min(len(b), f.left)
	f.left -= n
	if _, err := f.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}
