package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// endsWith reports whether a log ends with this line: the file, or the newest
// rotated one if the last line filled it.
func endsWith(file, line string) (bool, error) {
	for _, name := range []string{file, file + ".1"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil // in the middle of a rotation
		}
		if err != nil {
			return false, err
		}
		end, err := tail(f, len(line))
		err = errors.Join(err, f.Close())
		if err != nil || end != "" {
			return end == line, err
		}
	}
	return false, nil
}

// tail is the last n bytes of a file, or less.
func tail(f *os.File, n int) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	begin := max(0, info.Size()-int64(n))
	b := make([]byte, info.Size()-begin)
	_, err = f.ReadAt(b, begin)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(b), err
}

// verify checks that every line in a log is whole and follows the one before,
// up to the last. A rotated log may begin anywhere.
func verify(file string, lines int, rotated bool) error {
	var names []string
	for n := 50; n >= 1; n-- {
		if name := file + "." + strconv.Itoa(n); exists(name) {
			names = append(names, name)
		}
	}
	next := -1
	if !rotated {
		next = 0
	}
	for _, name := range append(names, file) {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		next, err = verifyLines(f, next)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if next != lines {
		return fmt.Errorf("%s: %d lines, want %d", file, next, lines)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// verifyLines checks the lines of one file and returns the number that is to
// follow. Next is that of the first, -1 if it may be any.
func verifyLines(r io.Reader, next int) (int, error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	var want []byte
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return next, nil
		}
		if err != nil {
			return 0, fmt.Errorf("torn line %.200q: %w", line, err)
		}
		if want == nil {
			if next < 0 && len(line) == lineLength {
				next, err = strconv.Atoi(string(line[lineLength-1-digits : lineLength-1]))
				if err != nil {
					return 0, fmt.Errorf("torn line %.200q: %w", line, err)
				}
			}
			want = numbered(next)
		}
		if !bytes.Equal(line, want) {
			return 0, fmt.Errorf("line %.200q, want %q", line, want)
		}
		count(want)
		next++
	}
}
