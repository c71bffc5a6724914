package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	lastBytes  = 64 << 10 // what LastLines looks at
	chunkBytes = 64 << 10 // what is read in one go
)

// LastLines returns the last n lines of a log, oldest first, without their line
// ends. It looks at the last 64 KiB only, and into the newest old file if the
// present one has too few lines. Errors: fs.ErrNotExist if there is no such log.
func LastLines(path string, n int) ([]string, error) {
	if n <= 0 {
		return nil, nil
	}
	path, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	text, err := endOf(rotated{name: path}, lastBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if len(text) < lastBytes && countLines(text) < n {
		list, lerr := listRotated(path)
		if len(list) > 0 {
			var older []byte
			older, lerr = endOf(list[0], lastBytes-len(text))
			text, err = append(older, text...), nil
		}
		err = errors.Join(err, lerr)
	}
	if err != nil && len(text) == 0 {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return lines, nil
}

// countLines counts the lines of text; the last one needs no newline.
func countLines(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// endOf returns at most the last limit bytes of a file.
func endOf(file rotated, limit int) ([]byte, error) {
	f, err := openRegular(file.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if file.gzip {
		return endOfGzip(f, limit)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	at := max(info.Size()-int64(limit), 0)
	text := make([]byte, info.Size()-at)
	n, err := f.ReadAt(text, at)
	if errors.Is(err, io.EOF) {
		err = nil // truncated just now
	}
	return text[:n], err
}

// errNotRegular is the reason for not reading a FIFO or a device.
var errNotRegular = errors.New("not a regular file")

// openRegular opens a file unless it is a FIFO or a device, where reading could
// block or steal.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: %w", name, errNotRegular)
	}
	return os.Open(name)
}
