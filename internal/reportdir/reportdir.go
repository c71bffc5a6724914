// Package reportdir keeps reports on processes as files in one folder, the newest ones.
package reportdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The caps. What does not fit into a report is left out at its end, and the oldest
// reports make room for a new one.
const (
	maxFiles  = 50
	maxReport = 1 << 20
	maxTotal  = 20 << 20
)

// Save writes a report of an app's instance into the folder, which it makes, and
// returns the file's path. Only the owner can read it. Calls must not overlap.
func Save(dir, app string, id int, at time.Time, text []byte) (path string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if len(text) > maxReport {
		const cut = "\n(the rest is left out)\n"
		text = append(slices.Clone(text[:maxReport-len(cut)]), cut...)
	}
	base := fmt.Sprintf("%s-%s-%d", at.UTC().Format("20060102T150405.000"), fileName(app), id)
	path = filepath.Join(dir, base+".txt")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, prune(dir)
}

// fileName leaves out of an app's name what is awkward in a file's.
func fileName(app string) string {
	const longest = 64
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, app)
	return name[:min(len(name), longest)]
}

// prune removes the oldest reports that are too many. Their names begin with the time.
func prune(dir string) error {
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return err
	}
	var total int64
	var errs []error
	kept := 0
	for _, e := range slices.Backward(entries) {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || filepath.Ext(e.Name()) != ".txt" {
			continue // gone meanwhile, or not ours
		}
		total += info.Size()
		if kept++; kept > maxFiles || total > maxTotal {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
