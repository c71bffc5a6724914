package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	gzipExt = ".gz"
	tempExt = ".gz.tmp" // of a log whose oldest plain part is being compressed
)

// numbered returns the name of the nth newest rotated file, uncompressed.
func numbered(path string, n int) string { return path + "." + strconv.Itoa(n) }

// realPath returns the absolute path of what path leads to, so that one file has
// one name. What is in /dev and /proc keeps its name: behind /dev/stdout may be a
// file that is not ours to rename.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil || isDevice(path) {
		return path, err
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path, nil //nolint:nilerr // the folder does not exist yet
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

func isDevice(path string) bool {
	return strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
}

// rotated is an old file of a log.
type rotated struct {
	name string
	n    int // 1 is the newest
	gzip bool
}

// listRotated returns the old files of a log, newest first. Where a file is there
// in both forms, as after a kill in the middle of compressing, it returns the
// compressed one, which is complete: it got its name after it was written. One
// number may be missing: a kill in the middle of shift leaves that.
func listRotated(path string) ([]rotated, error) {
	var list []rotated
	for n, missing := 1, 0; missing < 2; n++ {
		name := numbered(path, n)
		if _, err := os.Lstat(name + gzipExt); err == nil {
			list = append(list, rotated{name + gzipExt, n, true})
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			list = append(list, rotated{name, n, false})
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return list, err
		}
		missing++
	}
	return list, nil
}

// errShifted says that a log was rotated while its files were being opened.
var errShifted = errors.New("rotated meanwhile")

// unshifted says, by its error, whether names have changed since old was listed
// and then current opened. A rotation ends with a new present file, and one that
// is going on leaves a gap in the numbers.
func unshifted(path string, current segment, old []rotated) error {
	now, err := listRotated(path)
	if err != nil {
		return err
	}
	if !slices.Equal(now, old) {
		return errShifted
	}
	if current.file == nil {
		return nil
	}
	info, err := os.Stat(path)
	if err == nil && !os.SameFile(info, current.info) {
		err = errShifted
	}
	return err
}

// shift moves the old files of a log up by one, so that there is none with the
// number 1, and removes those that would have a number above keep.
func shift(path string, keep int) error {
	list, err := listRotated(path)
	if err != nil {
		return err
	}
	move := 0 // what is beyond a missing number can stay
	for move < len(list) && list[move].n == move+1 {
		move++
	}
	for i, old := range slices.Backward(list) {
		if old.gzip {
			if err := remove(numbered(path, old.n)); err != nil {
				return err
			}
		}
		to := old.n
		if i < move {
			to++
		}
		if to > keep {
			err = remove(old.name)
		} else if to != old.n {
			name := numbered(path, to)
			if old.gzip {
				name += gzipExt
			}
			err = os.Rename(old.name, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeRotated removes all old files of a log.
func removeRotated(path string) error { return shift(path, 0) }

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
