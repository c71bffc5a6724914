package logs

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// turn goes on in a new file. The old one is renamed, or has been by others.
func (l *loop) turn(f *file) {
	open, moved := f.lineOpen(), !f.moments.moved.IsZero()
	if !moved {
		if err := l.stepAside(f); err != nil {
			l.pump.log("rotate log %s: %v; it grows until that works", f.path, err)
			f.moments.rotate = l.now.Add(rotateAgain)
			return
		}
	}
	old, oldNode := f.fd, f.node
	var st unix.Stat_t
	known := unix.Fstat(old, &st) == nil
	if err := f.open(); err != nil {
		// The old one is lost or renamed, and writing on there would hide it.
		f.close()
		l.fail(f, err)
		return
	}
	if known {
		// As the administrator has set them; nothing is lost if that is not allowed.
		_ = unix.Fchmod(f.fd, st.Mode&0o7777)
		if st.Uid != uint32(os.Geteuid()) || st.Gid != uint32(os.Getegid()) {
			_ = unix.Fchown(f.fd, int(st.Uid), int(st.Gid))
		}
	}
	_ = unix.Close(old) // nothing is buffered by us
	l.journal.forget(oldNode)
	f.moments.moved, f.moments.checked = time.Time{}, l.now
	if open && f.size == 0 {
		f.line = lineHalf
	}
	if !moved {
		l.compress.add(f.path, l.now)
	}
	l.touch(f)
}

// reopen makes the files anew whose names others have taken away.
func (l *loop) reopen() int {
	for _, f := range l.files {
		f.moments.checked = time.Time{}
		if f.faults.err != nil {
			l.retry(f)
			continue
		}
		if err := f.inspect(l.now); err != nil {
			l.fail(f, err)
			continue
		}
		// The end of a line goes to where its beginning is.
		if !f.moments.moved.IsZero() && !f.lineOpen() {
			l.turn(f)
		}
	}
	return len(l.files)
}

// stepAside gives the file's name free.
func (l *loop) stepAside(f *file) error {
	// To free the pages of the file that goes takes a while, which a flood does not wait for.
	if goes, err := unix.Open(numbered(f.path, f.keep), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
		defer l.pump.work.Go(func() { _ = unix.Close(goes) })
	}
	if err := shift(f.path, f.keep); err != nil {
		return err
	}
	if f.keep == 0 {
		return os.Remove(f.path)
	}
	return os.Rename(f.path, numbered(f.path, 1))
}
