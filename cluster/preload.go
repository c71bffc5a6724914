package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"paceline/internal/nodeipc"
)

// preload is a file with the script that Node workers are started with, so that one that
// is told to leave deals with kept-alive connections. It is there from the first Node
// worker until the primary is closed.
type preload struct {
	mu     sync.Mutex // guards what follows
	file   string     // "" if there is none
	closed bool
}

// args are the arguments of a program: with the preload, if that is node itself.
func (p *preload) args(o *Options) ([]string, error) {
	if o.PlainNode || !isNode(o.Program) || nodeipc.Restricted(o.Args) {
		return o.Args, nil
	}
	file, err := p.path()
	if err != nil {
		return nil, fmt.Errorf("write the preload for Node workers, which Options.PlainNode does without: %w", err)
	}
	return append([]string{"--require", file}, o.Args...), nil
}

// path returns the file, written if it is not there.
func (p *preload) path() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", ErrClosed
	}
	if p.file != "" {
		return p.file, nil
	}
	// A folder of its own, which is nobody else's to put another file in.
	dir, err := os.MkdirTemp("", "paceline-")
	if err != nil {
		return "", err
	}
	// Node knows a module by its real path, and the script itself by what it was told.
	dir, err = filepath.EvalSymlinks(dir)
	file := filepath.Join(dir, "drain.cjs")
	if err == nil {
		err = os.WriteFile(file, nodeipc.Preload(), 0o600)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	p.file = file
	return file, nil
}

// close removes the file.
func (p *preload) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.file == "" {
		return nil
	}
	dir := filepath.Dir(p.file)
	p.file = ""
	return os.RemoveAll(dir)
}

// isNode reports whether a program is Node by its name.
func isNode(program string) bool {
	name := filepath.Base(program)
	return name == "node" || name == "nodejs"
}
