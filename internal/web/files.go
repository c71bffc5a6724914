package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// static is what the browser gets: written by hand, and uPlot as it was published.
//
//go:embed static
var static embed.FS

// files hands the pages out. They hold no data, so anybody may have them.
type files map[string]*file

// file is one of them, plain and compressed.
type file struct {
	kind         string
	plain, small []byte
	tag          string
}

// allFiles compresses everything, once: some milliseconds.
var allFiles = sync.OnceValue(readFiles)

func readFiles() files {
	list := files{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		var small bytes.Buffer
		z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(text); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		list[strings.TrimPrefix(name, "static")] = &file{
			kind: kindOf(name), plain: text, small: small.Bytes(), tag: hex.EncodeToString(sum[:8]),
		}
		return nil
	})
	if err != nil {
		panic("web: embedded files: " + err.Error())
	}
	list["/"] = list["/index.html"]
	delete(list, "/index.html")
	return list
}

func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := f[r.URL.Path]
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "files are only read")
		return
	case found == nil:
		refuse(w, http.StatusNotFound, "there is nothing here")
		return
	}
	h := w.Header()
	body, tag := found.plain, `"`+found.tag+`"`
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, tag = found.small, `"`+found.tag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", found.kind)
	h.Set("Cache-Control", "no-cache") // kept, and asked about each time: an update shows at once
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	_, _ = w.Write(body) // an error is the client's, who has left
}
