package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Usage is what logs take up on the disk.
type Usage struct {
	Bytes int64
	old   []oldFile // oldest first within each log
}

// oldFile is a rotated file.
type oldFile struct {
	path    string // of its log
	name    string
	bytes   int64
	changed time.Time
}

// Trimmed is what Pump.Trim has removed.
type Trimmed struct {
	Files int
	Bytes int64
	Oldest,
	Newest time.Time // of their last changes
	Left int64 // what the logs take up now
}

// Under returns the paths of all logs that have a file right in a folder, rotated ones
// included.
func Under(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	seen := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		path := filepath.Join(dir, logOf(e.Name()))
		if !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths, err
}

// logOf returns the name of the log that a file belongs to.
func logOf(name string) string {
	base := strings.TrimSuffix(name, tempExt)
	base = strings.TrimSuffix(base, gzipExt)
	if at := strings.LastIndexByte(base, '.'); at > 0 && at+1 < len(base) && strings.Trim(base[at+1:], "0123456789") == "" {
		return base[:at]
	}
	if strings.HasSuffix(name, tempExt) {
		return base
	}
	return name
}

// Measure returns what logs take up. Those that do not exist take up nothing.
func Measure(paths []string) (Usage, error) {
	var u Usage
	var failed error
	seen := map[string]bool{}
	for _, path := range paths {
		path, err := realPath(path)
		if err != nil || seen[path] || isDevice(path) {
			continue
		}
		seen[path] = true
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			u.Bytes += info.Size()
		}
		list, err := listRotated(path)
		failed = errors.Join(failed, err)
		for _, old := range slices.Backward(list) {
			info, err := os.Lstat(old.name)
			if err != nil || !info.Mode().IsRegular() {
				continue // it has just moved on
			}
			u.Bytes += info.Size()
			u.old = append(u.old, oldFile{path, old.name, info.Size(), info.ModTime()})
		}
	}
	return u, failed
}
