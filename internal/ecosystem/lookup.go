package ecosystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// places is where a start looks for files and programs.
type places struct {
	dir  string // the caller's directory
	cwd  string // the app's; the same unless --cwd was given
	path string // the caller's $PATH

	lookups *lookups // may be nil
}

// newPlaces checks both directories. dir may be "": see StartOptions.Dir.
func newPlaces(dir, cwd, path string) (places, error) {
	if dir == "" {
		wd, err := os.Getwd()
		if errors.Is(err, fs.ErrNotExist) {
			return places{}, errDeletedDir
		}
		if err != nil {
			return places{}, fmt.Errorf("find the current folder: %w", err)
		}
		dir = wd
	}
	if !filepath.IsAbs(dir) {
		return places{}, fmt.Errorf("current folder %q is not an absolute path", dir)
	}
	p := places{dir: filepath.Clean(dir), path: path}
	if _, err := os.Stat(p.dir); errors.Is(err, fs.ErrNotExist) {
		return places{}, errDeletedDir
	}
	p.cwd = p.dir
	if cwd == "" {
		return p, nil
	}
	p.cwd = join(p.dir, cwd)
	switch fi, err := os.Stat(p.cwd); {
	case absent(err):
		return places{}, fmt.Errorf("--cwd %q: there is no such folder", cwd)
	case err != nil:
		return places{}, fmt.Errorf("--cwd %q: %w", cwd, bare(err))
	case !fi.IsDir():
		return places{}, fmt.Errorf("--cwd %q is not a folder", cwd)
	}
	return p, nil
}

var errDeletedDir = errors.New("the current folder has been deleted; cd to one that exists")

// target finds what the user named: a file of the app's directory, else of the
// caller's (whose shell has completed the name), else a program on PATH. The
// path is not resolved: a "current" link must lead to the next release later.
func (p places) target(name string) (string, error) {
	file, err := p.file(name)
	if err == nil {
		return file, nil
	}
	if prog, ok := p.program(name); ok {
		return prog, nil
	}
	return "", err
}

// file finds name below the app's or the caller's directory. Errors: *missing
// if there is nothing of that name, else why it cannot be used.
func (p places) file(name string) (string, error) {
	var found error
	for _, dir := range []string{p.cwd, p.dir} {
		file := join(dir, name)
		fi, err := os.Stat(file)
		switch {
		case err == nil && fi.Mode().IsRegular():
			return file, nil
		case err == nil && fi.IsDir():
			found = fmt.Errorf("%q is a folder; name a file in it, e.g. %s", name, filepath.Join(name, "server.js"))
		case err == nil:
			found = fmt.Errorf("%q is not a regular file", name)
		case !absent(err) && found == nil:
			found = fmt.Errorf("%q: %w", name, bare(err))
		}
	}
	if found != nil {
		return "", found
	}
	return "", &missing{name: name, places: p}
}

// program finds an executable on PATH as a shell does, or by a path with a
// slash, relative to the app's directory.
func (p places) program(name string) (string, bool) {
	if strings.ContainsRune(name, '/') {
		file := join(p.cwd, name)
		return file, runnable(file)
	}
	if name == "" {
		return "", false
	}
	if p.lookups == nil {
		return p.onPath(name)
	}
	key := name + "\x00" + p.dir + "\x00" + p.path
	file, known := p.lookups.programs[key]
	if !known {
		file, _ = p.onPath(name)
		p.lookups.programs[key] = file
	}
	return file, file != ""
}

func (p places) onPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(p.path) {
		if file := filepath.Join(join(p.dir, dir), name); runnable(file) {
			return file, true
		}
	}
	return "", false
}

// missing says that nothing of that name exists.
type missing struct {
	name   string
	places places
}

func (m *missing) Error() string {
	where := m.places.cwd
	if m.places.dir != m.places.cwd {
		where += ", " + m.places.dir
	}
	if strings.ContainsRune(m.name, '/') {
		return fmt.Sprintf("no file named %q in %s%s", m.name, where, m.hint())
	}
	return fmt.Sprintf("no file or program named %q in %s or PATH%s", m.name, where, m.hint())
}

// hint names a file that differs only by its extension, which PM2 users omit.
func (m *missing) hint() string {
	for _, ext := range []string{".js", ".mjs", ".cjs", ".ts", ".py", ".sh", ".rb"} {
		if fi, err := os.Stat(join(m.places.cwd, m.name+ext)); err == nil && fi.Mode().IsRegular() {
			return fmt.Sprintf("; did you mean %s?", m.name+ext)
		}
	}
	return ""
}

// join returns name, if relative below dir.
func join(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

// runnable reports whether file is an executable that exec would take.
func runnable(file string) bool {
	fi, err := os.Stat(file)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// absent reports whether err says that there is no such file; a command line
// taken for a path can also be too long for one, or lead through a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) ||
		errors.Is(err, syscall.EINVAL)
}

// bare takes the operation and the path off err, which the caller names itself.
func bare(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
