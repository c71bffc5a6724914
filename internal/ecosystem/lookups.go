package ecosystem

import (
	"errors"
	"io/fs"
	"os"
)

// lookups keeps what the start of many apps finds out more than once. It belongs
// to one goroutine and one command: nothing in it grows old.
type lookups struct {
	programs map[string]string // by name and PATH; "" is not there
	versions map[string]version
	accounts map[string]account
	contents map[string]inspected
	folders  map[string]error // nil: it is one
}

type version struct {
	text string
	err  error
}

type inspected struct {
	content content
	err     error
}

func newLookups() *lookups {
	return &lookups{
		programs: map[string]string{}, versions: map[string]version{}, accounts: map[string]account{},
		contents: map[string]inspected{}, folders: map[string]error{},
	}
}

// inspect is the function of that name, once for each file.
func (l *lookups) inspect(file string) (content, error) {
	if l == nil {
		return inspect(file)
	}
	found, ok := l.contents[file]
	if !ok {
		found.content, found.err = inspect(file)
		l.contents[file] = found
	}
	return found.content, found.err
}

// readableFile says why a file cannot be read, nil if it can.
func readableFile(file string) error {
	fi, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case err != nil:
		return bare(err)
	case !fi.Mode().IsRegular():
		return errors.New("is not a file")
	}
	f, err := os.Open(file)
	if err != nil {
		return bare(err)
	}
	return f.Close()
}
