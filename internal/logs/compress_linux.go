package logs

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// compressNice is the niceness of the thread that compresses. Not the lowest: the
// runtime has to wait for this thread as well when it collects garbage.
const compressNice = 10

// compressor says which logs have old files to compress. The loop owns it; the
// work is done by one goroutine that ends when there is no more.
type compressor struct {
	due     map[string]time.Time
	settle  time.Duration
	running bool
}

// add has the old files of a log compressed when no other has followed for a while.
func (c *compressor) add(path string, now time.Time) { c.due[path] = now.Add(c.settle) }

// next returns when there is something to do; zero if there is not.
func (c *compressor) next() time.Time {
	var first time.Time
	if c.running {
		return first // its end will wake the loop
	}
	for _, at := range c.due {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// start begins with a log that is due.
func (c *compressor) start(l *loop) {
	if c.running || len(c.due) == 0 {
		return
	}
	for path, at := range c.due {
		if l.now.Before(at) {
			continue
		}
		delete(c.due, path)
		c.running = true
		p := l.pump
		p.work.Go(func() {
			// The thread ends with the goroutine, for a niceness cannot be taken back.
			runtime.LockOSThread()
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, compressNice)
			if err := p.compressOld(path); err != nil && !errors.Is(err, ErrClosed) {
				p.log("compress old files of %s: %v", path, err)
			}
			_ = p.do(func(l *loop) { l.compress.running = false }) // closed: nobody asks
		})
		return
	}
}

// compressOld compresses all old files of a log, oldest first. The loop gives
// them their names, as it is the one that shifts them.
func (p *Pump) compressOld(path string) error {
	temp := path + tempExt
	for {
		var in *os.File
		var err error
		closed := p.do(func(*loop) { in, err = openOldest(path) })
		if err := errors.Join(closed, err); err != nil {
			return err
		}
		if in == nil {
			return remove(temp) // of a process that was killed
		}
		k, err := compressFile(in, temp, p.stop)
		if err == nil {
			closed := p.do(func(*loop) { err = nameCompressed(path, temp, k) })
			err = errors.Join(closed, err)
		}
		if err != nil {
			return errors.Join(err, remove(temp))
		}
	}
}

// openOldest opens the oldest file of a log that is not compressed; nil if there
// is none. Files that are there in compressed form as well it removes: the process
// was killed before it could.
func openOldest(path string) (*os.File, error) {
	list, err := listRotated(path)
	if err != nil {
		return nil, err
	}
	name := ""
	for _, old := range list {
		if !old.gzip {
			name = old.name
		} else if err := remove(numbered(path, old.n)); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, nil
	}
	return openRegular(name)
}

// compressFile writes a compressed copy of a file, with its times, owner and mode.
// It closes the file.
func compressFile(in *os.File, temp string, stop <-chan struct{}) (k node, err error) {
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return k, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return k, fmt.Errorf("read attributes of %s", in.Name())
	}
	k = node{st.Dev, st.Ino}
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_ = out.Chmod(info.Mode().Perm())
	_ = out.Chown(int(st.Uid), int(st.Gid)) // as far as allowed
	buffered := bufio.NewWriterSize(out, 64<<10)
	zip, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return k, err
	}
	zip.ModTime, zip.Extra = info.ModTime(), k.extra()
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-stop:
			return k, ErrClosed
		default:
		}
		n, rerr := in.Read(buf)
		if _, err := zip.Write(buf[:n]); err != nil {
			return k, err
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return k, rerr
		}
	}
	if err := errors.Join(zip.Close(), buffered.Flush()); err != nil {
		return k, err
	}
	// The original is removed soon: this one must be on the disk by then.
	if err := out.Sync(); err != nil {
		return k, err
	}
	// Followers find the original by the time of its last change.
	return k, os.Chtimes(temp, info.ModTime(), info.ModTime())
}

// nameCompressed puts the compressed copy in the place of its original, which may
// have moved on or gone meanwhile.
func nameCompressed(path, temp string, k node) error {
	list, err := listRotated(path)
	if err != nil {
		return err
	}
	for _, old := range list {
		var st unix.Stat_t
		if old.gzip || unix.Stat(old.name, &st) != nil || (node{st.Dev, st.Ino}) != k {
			continue
		}
		if err := os.Rename(temp, old.name+gzipExt); err != nil {
			return err
		}
		return remove(old.name)
	}
	return remove(temp)
}
