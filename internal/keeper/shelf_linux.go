package keeper

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// shelf is what is kept, by name.
type shelf map[string]*kept

// kept is one entry. It owns its descriptor, if it has one.
type kept struct {
	note []byte
	fd   int
}

var errNoName = errors.New("keep an entry without a name")

// check says whether all can be kept, before any is.
func (s shelf) check(items []keepItem) error {
	if slices.ContainsFunc(items, func(i keepItem) bool { return i.name == "" }) {
		return errNoName
	}
	return nil
}

// keep takes the descriptors that it keeps out of fds.
func (s shelf) keep(items []keepItem, fds []int) {
	for _, item := range items {
		e := s[item.name]
		if e == nil {
			e = &kept{fd: none}
			s[item.name] = e
		}
		if item.note != nil {
			e.note = item.note
		}
		if item.file != none {
			e.close()
			e.fd, fds[item.file] = fds[item.file], none
		}
	}
}

// drop forgets a name, or all with the prefix if it ends in a slash.
func (s shelf) drop(name string) {
	if !strings.HasSuffix(name, "/") {
		if e := s[name]; e != nil {
			e.close()
			delete(s, name)
		}
		return
	}
	maps.DeleteFunc(s, func(key string, e *kept) bool {
		if !strings.HasPrefix(key, name) {
			return false
		}
		e.close()
		return true
	})
}

func (s shelf) clear() {
	for _, e := range s {
		e.close()
	}
	clear(s)
}

func (e *kept) close() {
	if e.fd != none {
		closeFD(e.fd)
		e.fd = none
	}
}

// isProgram says why path could not be executed.
func isProgram(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}
