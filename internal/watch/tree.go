package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/fsnotify/fsnotify"
)

// folder is one watch of the system's. It is known by its real path, since the
// system knows one watch for an inode, by whatever path it was asked for.
type folder struct {
	path      string
	id        fileID
	stale     bool // the watch may be gone: to be made anew at the next use
	listeners map[*listener]struct{}
}

// listener is what one root wants to hear of one folder.
type listener struct {
	root   *root
	path   string // of the folder, as the rule leads to it; of the entry if there is a name
	name   string // of the only entry that matters; "" for all
	age    int    // root.age when it was made
	linked bool   // a symbolic link leads to the folder
	final  bool   // the entry is the root itself, a file

	at       *folder // nil if the system refused
	parent   *listener
	children map[string]*listener // of folders, and of files by symbolic links
}

// root is one of a rule's paths.
type root struct {
	app  *subject
	path string
	glob string // what counts in it; "" means all

	id      fileID      // of what path leads to; zero if it is missing
	top     *listener   // of the folder; nil for a file
	anchors []*listener // of entries whose change may make path lead elsewhere
	age     int         // counts the times of being resolved
	refused int         // folders that could not be watched
}

// fileID tells one file or folder from all others that exist.
type fileID struct{ dev, ino uint64 }

func identify(info fs.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{ino: 1}
	}
	return fileID{uint64(st.Dev), st.Ino} // Dev is 32 bits wide on macOS
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func join(folder, name string) string {
	if folder == "/" {
		return "/" + name
	}
	return folder + "/" + name
}

// resolve looks up what a root's path leads to now, and watches that in place of
// what it led to before. If it leads elsewhere, that is a change.
func (l *loop) resolve(r *root) {
	oldTop, oldAnchors, oldID := r.top, r.anchors, r.id
	r.top, r.anchors, r.refused = nil, nil, 0
	r.age++
	real, info := l.follow(r)
	r.id = fileID{}
	if info != nil {
		r.id = identify(info)
	}
	if info != nil && info.IsDir() {
		r.top = &listener{root: r, path: r.path, age: r.age}
		l.attach(r.top, real)
		l.scanAll(r.top, real, false)
	}
	if oldTop != nil {
		l.detach(oldTop)
	}
	for _, a := range oldAnchors {
		l.detach(a)
	}
	if r.age > 1 && r.id != oldID {
		l.mark(r, r.path)
		if oldID == (fileID{}) {
			r.app.first = r.app.last // it is back: what was held begins now
		}
	}
}

// follow walks along a root's path and puts an anchor wherever a change of one
// entry would make it lead elsewhere: at a symbolic link, at the first name that
// is missing, and at the file that it leads to. It returns the real path and what
// is there, nil if there is nothing.
func (l *loop) follow(r *root) (real string, info fs.FileInfo) {
	real = "/"
	for name := range strings.SplitSeq(strings.Trim(r.path, "/"), "/") {
		if name == "" {
			break // the root is "/"
		}
		next := join(real, name)
		var err error
		info, err = os.Lstat(next)
		if err != nil {
			l.anchor(r, real, name, false)
			return next, nil
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			l.anchor(r, real, name, false)
			if next, err = filepath.EvalSymlinks(next); err != nil {
				return next, nil // it leads nowhere; looked at again at the next recheck
			}
			if info, err = os.Lstat(next); err != nil {
				return next, nil
			}
		}
		real = next
	}
	if info == nil {
		info, _ = os.Lstat(real) // nil then
	}
	if info != nil && !info.IsDir() {
		l.anchor(r, filepath.Dir(real), filepath.Base(real), true)
	}
	return real, info
}

func (l *loop) anchor(r *root, folder, name string, final bool) {
	a := &listener{root: r, path: r.path, name: name, age: r.age, final: final}
	r.anchors = append(r.anchors, a)
	l.attach(a, folder)
}

// link is a symbolic link that was found, to be followed when all real folders
// are known.
type link struct {
	in         *listener
	real, name string
}

// scanAll watches what is below a folder that is watched. If found is set, what
// there is counts as changed.
func (l *loop) scanAll(li *listener, real string, found bool) {
	var links []link
	l.scan(li, real, found, &links)
	for len(links) > 0 {
		k := links[0]
		links = links[1:]
		l.followLink(k, found, &links)
	}
}

func (l *loop) scan(li *listener, real string, found bool, links *[]link) {
	dir, err := os.Open(real)
	var entries []fs.DirEntry
	if err == nil {
		entries, err = dir.ReadDir(-1) // in any order
		_ = dir.Close()                // only read
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		l.warn(li.root.app, "a folder cannot be read and is not watched", "folder", li.path, "error", err)
	}
	for _, e := range entries {
		path := join(li.path, e.Name())
		if li.root.ignored(path, join(real, e.Name())) {
			continue
		}
		if found && li.root.matches(path) {
			l.mark(li.root, path)
		}
		switch {
		case e.IsDir():
			l.enter(li, join(real, e.Name()), e.Name(), false, found, links)
		case e.Type()&fs.ModeSymlink != 0:
			*links = append(*links, link{li, real, e.Name()})
		}
	}
}

// enter watches a folder in a folder, and what is in it.
func (l *loop) enter(li *listener, real, name string, linked, found bool, links *[]link) {
	r, path := li.root, join(li.path, name)
	if r.glob != "" && !mayHold(r.glob, path) {
		return
	}
	c := &listener{root: r, path: path, age: r.age, linked: linked, parent: li}
	li.adopt(name, c)
	l.attach(c, real)
	l.scan(c, real, found, links)
}

// followLink watches what a symbolic link in a watched folder leads to, unless
// that is watched for the same root already: links may form a ring.
func (l *loop) followLink(k link, found bool, links *[]link) {
	real, err := filepath.EvalSymlinks(join(k.real, k.name))
	if err != nil {
		return // it leads nowhere
	}
	info, err := os.Lstat(real)
	if err != nil {
		return
	}
	if info.IsDir() {
		if f := l.byID[identify(info)]; f == nil || !f.watchedFor(k.in.root) {
			l.enter(k.in, real, k.name, true, found, links)
		}
		return
	}
	path := join(k.in.path, k.name)
	if !k.in.root.matches(path) {
		return
	}
	c := &listener{root: k.in.root, path: path, name: filepath.Base(real), age: k.in.root.age, linked: true, parent: k.in}
	k.in.adopt(k.name, c)
	l.attach(c, filepath.Dir(real))
}

func (li *listener) adopt(name string, c *listener) {
	if li.children == nil {
		li.children = make(map[string]*listener)
	}
	li.children[name] = c
}

func (f *folder) watchedFor(r *root) bool {
	for li := range f.listeners {
		if li.root == r && li.name == "" && li.age == r.age {
			return true
		}
	}
	return false
}

// ignored reports whether an entry is passed over: path is how the rule leads to
// it, real where it is.
func (r *root) ignored(path, real string) bool {
	f := r.app.filter
	return f.ignored(path, r.path) || path != real && f.isOwn(real)
}

func (r *root) matches(path string) bool {
	return r.glob == "" || doublestar.MatchUnvalidated(r.glob, path)
}

// attach has a listener hear of the folder that is at the path real.
func (l *loop) attach(li *listener, real string) {
	info, err := os.Lstat(real)
	if err != nil || !info.IsDir() {
		return // gone meanwhile, which another event tells
	}
	id := identify(info)
	f := l.folders[real]
	if f != nil && f.id == id && !f.stale {
		l.listen(li, f)
		return
	}
	// The system keeps to the path by which it was first asked for an inode.
	if other := l.byID[id]; other != nil && other != f {
		if !other.stale && other.stillThere() {
			l.listen(li, other) // the same folder by another way, as a bind mount
			return
		}
		l.forget(other) // it was moved here
		l.strays = append(l.strays, other)
	}
	if f == nil {
		f = &folder{listeners: make(map[*listener]struct{})}
	} else {
		l.forget(f) // another folder was put here
	}
	f.path, f.id, f.stale = real, id, false
	if err := l.add(real); err != nil {
		l.refused(li, err)
		f.stale = true
		if len(f.listeners) == 0 {
			return
		}
	}
	l.folders[real], l.byID[id] = f, f
	l.listen(li, f)
}

func (l *loop) listen(li *listener, f *folder) {
	li.at = f
	f.listeners[li] = struct{}{}
}

func (f *folder) stillThere() bool {
	info, err := os.Lstat(f.path)
	return err == nil && identify(info) == f.id
}

// detach ends a listener and those below it.
func (l *loop) detach(li *listener) (linked bool) {
	linked = li.linked
	for _, c := range li.children {
		linked = l.detach(c) || linked
	}
	li.children = nil
	if f := li.at; f != nil {
		li.at = nil
		delete(f.listeners, li)
		if len(f.listeners) == 0 {
			l.forget(f)
		}
	}
	return linked
}

// forget ends the watch of a folder.
func (l *loop) forget(f *folder) {
	if l.byID[f.id] == f {
		delete(l.byID, f.id)
	}
	if l.folders[f.path] != f {
		return
	}
	delete(l.folders, f.path)
	if l.notify != nil {
		_ = l.notify.Remove(f.path) // of a folder that is gone there is none to remove
	}
}

// add asks the system to watch a folder.
func (l *loop) add(path string) error {
	if l.refuse != nil {
		if err := l.refuse(path); err != nil {
			return err
		}
	}
	if l.notify == nil {
		n, err := fsnotify.NewWatcher()
		if err != nil {
			return &instanceError{err}
		}
		l.notify = n
	}
	return l.notify.Add(path)
}
