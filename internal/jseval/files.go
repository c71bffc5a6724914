package jseval

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// readFile reads a regular file of at most limit bytes; a FIFO or a device, which
// could block or never end, is refused.
func readFile(name string, limit int64) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case fi.IsDir():
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	case !fi.Mode().IsRegular():
		return nil, &codeError{code: "ERR_PACELINE_UNAVAILABLE", message: name + ": not a regular file"}
	case fi.Size() > limit:
		return nil, tooLarge(name, fi.Size(), limit)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1)) // files of /proc tell no size
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, tooLarge(name, int64(len(text)), limit)
	}
	return text, nil
}

func tooLarge(name string, size, limit int64) error {
	return &codeError{code: "ERR_PACELINE_LIMIT", message: fmt.Sprintf("%s: too large: %s, and at most %s are read", name, sizeText(size), sizeText(limit))}
}

// sizeText is a number of bytes for a human.
func sizeText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}

// errnos are the names by which Node's programs know errors, and its words.
var errnos = map[syscall.Errno]struct{ name, text string }{
	syscall.ENOENT:       {"ENOENT", "no such file or directory"},
	syscall.EACCES:       {"EACCES", "permission denied"},
	syscall.EPERM:        {"EPERM", "operation not permitted"},
	syscall.EISDIR:       {"EISDIR", "illegal operation on a directory"},
	syscall.ENOTDIR:      {"ENOTDIR", "not a directory"},
	syscall.EINVAL:       {"EINVAL", "invalid argument"},
	syscall.ELOOP:        {"ELOOP", "too many symbolic links encountered"},
	syscall.ENAMETOOLONG: {"ENAMETOOLONG", "name too long"},
	syscall.EMFILE:       {"EMFILE", "too many open files"},
	syscall.EIO:          {"EIO", "i/o error"},
	syscall.EROFS:        {"EROFS", "read-only file system"},
}

// nodeError is err as Node's fs words it.
func nodeError(err error, call string) *codeError {
	if known, ok := errors.AsType[*codeError](err); ok {
		return known
	}
	var no syscall.Errno
	var at *fs.PathError
	if !errors.As(err, &no) || !errors.As(err, &at) {
		return &codeError{code: "EIO", message: err.Error()}
	}
	e, ok := errnos[no]
	if !ok {
		e.name, e.text = fmt.Sprintf("E%d", int(no)), no.Error()
	}
	if no == syscall.EISDIR && call == "open" {
		return &codeError{code: e.name, errno: -int(no), syscall: "read", message: e.name + ": " + e.text + ", read"}
	}
	return &codeError{
		code: e.name, errno: -int(no), syscall: call, path: at.Path,
		message: fmt.Sprintf("%s: %s, %s '%s'", e.name, e.text, call, at.Path),
	}
}

// statOf is what fs.Stats holds.
func statOf(fi fs.FileInfo) map[string]any {
	s := map[string]any{"size": fi.Size(), "mtimeMs": millis(fi.ModTime())}
	for _, k := range []string{"atimeMs", "ctimeMs", "birthtimeMs"} {
		s[k] = millis(fi.ModTime())
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s["mode"], s["uid"], s["gid"] = float64(st.Mode), float64(st.Uid), float64(st.Gid)
		s["ino"], s["nlink"], s["dev"] = float64(st.Ino), float64(st.Nlink), float64(st.Dev)
		s["blocks"], s["blksize"] = float64(st.Blocks), float64(st.Blksize)
	}
	return s
}

func millis(t time.Time) float64 { return float64(t.UnixNano()) / 1e6 }

// list is a folder's entries, each as name and kind, in the order of their names.
func list(dir string, recursive bool) ([]any, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, e := range entries {
		out = append(out, []any{e.Name(), kindOf(e.Type())})
		if recursive && e.IsDir() {
			below, err := list(filepath.Join(dir, e.Name()), true)
			if err != nil {
				return nil, err
			}
			for _, b := range below {
				if pair, ok := b.([]any); ok {
					out = append(out, []any{e.Name() + "/" + fmt.Sprint(pair[0]), pair[1]})
				}
			}
		}
	}
	return slices.Clip(out), nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "dir"
	case m&fs.ModeSymlink != 0:
		return "link"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
