package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
)

// handler answers one request after the other; it keeps no file open between them,
// so that a folder that is built anew is served anew.
type handler struct {
	o       Options
	log     *log.Logger
	closing atomic.Bool // answers end their connections
	secret  [sha256.Size]byte
}

func newHandler(o Options, logger *log.Logger) *handler {
	return &handler{o: o, log: logger, secret: credentials(o.Username, o.Password)}
}

// credentials are compared as digests, which are of one length.
func credentials(username, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(username + ":" + password))
}

const methods = "GET, HEAD, OPTIONS"

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if h.closing.Load() {
		header.Set("Connection", "close")
	}
	header.Set("Access-Control-Allow-Origin", "*") // as PM2
	header.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Method == http.MethodOptions:
		header.Set("Allow", methods)
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
	case !h.allowed(r):
		header.Set("WWW-Authenticate", `Basic realm="static files", charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", methods)
		refuse(w, http.StatusMethodNotAllowed)
	default:
		root, err := os.OpenRoot(h.o.Path)
		if err != nil {
			h.fail(w, err)
			return
		}
		defer func() { _ = root.Close() }() // only read
		h.answer(w, r, root)
	}
}

func (h *handler) allowed(r *http.Request) bool {
	if h.o.Username == "" {
		return true
	}
	username, password, ok := r.BasicAuth()
	got := credentials(username, password)
	return subtle.ConstantTimeCompare(got[:], h.secret[:]) == 1 && ok
}

// answer finds the file that a request means.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, root *os.Root) {
	name, ok := localName(r.URL.Path)
	if !ok {
		refuse(w, http.StatusForbidden)
		return
	}
	f, err := open(root, name)
	slash := strings.HasSuffix(r.URL.Path, "/")
	switch {
	case err != nil:
	case f.info.IsDir():
		dir := f
		defer dir.close()
		f, err = openFile(root, path.Join(name, h.index(name)))
		list := h.o.FTP && errors.Is(err, fs.ErrNotExist)
		if (err == nil || list) && !slash { // the page's links are relative to the folder
			if f != nil {
				f.close()
			}
			redirect(w, r)
			return
		}
		if list {
			h.list(w, r, dir, name)
			return
		}
	case slash: // a file is no folder
		f.close()
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) && h.o.SPA {
		f, err = h.fallback(root, name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.missing(w, r, root, name)
	case errors.Is(err, fs.ErrPermission):
		refuse(w, http.StatusForbidden)
	case err != nil:
		h.fail(w, err)
	default:
		h.send(w, r, f)
	}
}

// index is the page of a folder.
func (h *handler) index(folder string) string {
	if folder == "." {
		return h.o.Homepage
	}
	return "index.html"
}

// fallback is what a single-page application answers for a name that is missing.
func (h *handler) fallback(root *os.Root, name string) (*file, error) {
	f, err := openFile(root, path.Base(name))
	if errors.Is(err, fs.ErrNotExist) {
		return openFile(root, h.o.Homepage)
	}
	return f, err
}

// localName makes a name below the folder of a request's path. False: it is none,
// or it is hidden, as ".env" and ".git" are; /.well-known (RFC 8615) is not.
func localName(text string) (name string, ok bool) {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "\x00\\") {
		return "", false
	}
	for i, part := range strings.Split(text[1:], "/") {
		if strings.HasPrefix(part, ".") && part != "." && (i > 0 || part != ".well-known") {
			return "", false
		}
	}
	if name = path.Clean(text)[1:]; name == "" {
		name = "."
	}
	return name, true
}

// file is an open file or folder.
type file struct {
	*os.File
	info fs.FileInfo
}

func (f *file) close() { _ = f.Close() } // only read

// open opens a regular file or a folder below root. Links are followed as long as
// they stay below it. Errors: fs.ErrNotExist; fs.ErrPermission, also for what
// leads out of the folder and for pipes and devices.
func open(root *os.Root, name string) (*file, error) {
	info, err := root.Stat(name) // of a device the opening alone can do something
	if err != nil {
		return nil, plain(name, err)
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s is neither file nor folder: %w", name, fs.ErrPermission)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that has taken its place would block
	if err != nil {
		return nil, plain(name, err)
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("%s is neither file nor folder: %w", name, fs.ErrPermission)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f, info}, nil
}

// openFile is open for what must not be a folder, which counts as missing.
func openFile(root *os.Root, name string) (*file, error) {
	f, err := open(root, name)
	if err == nil && f.info.IsDir() {
		f.close()
		return nil, fmt.Errorf("%s is a folder: %w", name, fs.ErrNotExist)
	}
	return f, err
}

// plain sorts the errors of a name.
func plain(name string, err error) error {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok: // os.Root's own: the path leads out of it
		return fmt.Errorf("%s leads out of the folder: %w", name, fs.ErrPermission)
	case errno == syscall.ENOTDIR, errno == syscall.ENAMETOOLONG, errno == syscall.ELOOP, errno == syscall.EINVAL:
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return err
}

// redirect adds the slash of a folder.
func redirect(w http.ResponseWriter, r *http.Request) {
	to := url.URL{Path: path.Base(r.URL.Path) + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusMovedPermanently)
}

// send answers with a file, or with the part of it that is asked for.
func (h *handler) send(w http.ResponseWriter, r *http.Request, f *file) {
	defer f.close()
	h.describe(w, f)
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, f.info.ModTime().UnixNano(), f.info.Size()))
	http.ServeContent(w, r, f.info.Name(), f.info.ModTime(), f)
}

// describe sets the type of a file.
func (h *handler) describe(w http.ResponseWriter, f *file) {
	kind, err := contentType(f.Name(), f)
	if err != nil {
		h.log.Print(err) // the answer will have it, too
	}
	w.Header().Set("Content-Type", kind)
}

// missing answers 404, with the nearest 404.html above the name.
func (h *handler) missing(w http.ResponseWriter, r *http.Request, root *os.Root, name string) {
	dir := path.Dir(name)
	f, err := openFile(root, path.Join(dir, "404.html"))
	for err != nil && dir != "." {
		dir = path.Dir(dir)
		f, err = openFile(root, path.Join(dir, "404.html"))
	}
	if err == nil {
		defer f.close()
		h.describe(w, f)
		w.WriteHeader(http.StatusNotFound)
		if r.Method != http.MethodHead {
			_, _ = io.Copy(w, f) // an error is the client's, who has left
		}
		return
	}
	refuse(w, http.StatusNotFound)
}

// refuse answers without a file.
func refuse(w http.ResponseWriter, status int) {
	http.Error(w, fmt.Sprintf("%d %s", status, http.StatusText(status)), status)
}

// fail answers what is our fault and not the client's.
func (h *handler) fail(w http.ResponseWriter, err error) {
	h.log.Print(err)
	refuse(w, http.StatusInternalServerError)
}
