package logs

import (
	"errors"
	"os"
	"slices"
)

// Trim removes rotated files of logs, the oldest first, until all together take up at
// most a number of bytes. What is being written stays, also if it is more.
func (p *Pump) Trim(paths []string, most int64) (Trimmed, error) {
	u, err := Measure(paths)
	t := Trimmed{Left: u.Bytes}
	if err != nil || u.Bytes <= most {
		return t, err
	}
	// Of each log the oldest goes first, whatever the clock was.
	byLog := map[string][]oldFile{}
	for _, f := range u.old {
		byLog[f.path] = append(byLog[f.path], f)
	}
	for t.Left > most {
		var oldest *oldFile
		for _, files := range byLog {
			if len(files) > 0 && (oldest == nil || files[0].changed.Before(oldest.changed)) {
				oldest = &files[0]
			}
		}
		if oldest == nil {
			break
		}
		f := *oldest
		byLog[f.path] = slices.Delete(byLog[f.path], 0, 1)
		// The loop shifts names, so it is asked for what is the oldest now.
		var removed bool
		closed := p.do(func(*loop) { removed, err = removeOldest(f) })
		if err := errors.Join(closed, err); err != nil {
			return t, err
		}
		if !removed {
			continue
		}
		t.Files++
		t.Bytes += f.bytes
		t.Left -= f.bytes
		if t.Oldest.IsZero() || f.changed.Before(t.Oldest) {
			t.Oldest = f.changed
		}
		if f.changed.After(t.Newest) {
			t.Newest = f.changed
		}
	}
	return t, nil
}

// removeOldest removes the oldest file of a log, unless it is another one by now.
func removeOldest(f oldFile) (bool, error) {
	list, err := listRotated(f.path)
	if err != nil || len(list) == 0 {
		return false, err
	}
	last := list[len(list)-1]
	info, err := os.Lstat(last.name)
	if err != nil || !info.ModTime().Equal(f.changed) {
		return false, nil //nolint:nilerr // it has gone, or others have come
	}
	if last.gzip {
		if err := remove(numbered(f.path, last.n)); err != nil {
			return false, err
		}
	}
	return true, remove(last.name)
}
