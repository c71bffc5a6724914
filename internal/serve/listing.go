package serve

import (
	"cmp"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// list answers with the names in a folder: those of folders first, hidden ones not.
func (h *handler) list(w http.ResponseWriter, r *http.Request, dir *file, name string) {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		h.fail(w, err)
		return
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		if a.IsDir() != b.IsDir() {
			if a.IsDir() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name(), b.Name())
	})
	title := "/"
	if name != "." {
		title += name + "/"
	}
	title = html.EscapeString(title)
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>%s</title>\n", title)
	b.WriteString("<style>body{font-family:sans-serif;margin:2em}td{padding:0 2em 0 0}td+td{text-align:right}</style></head>\n")
	fmt.Fprintf(&b, "<body><h1>%s</h1>\n<table>\n", title)
	if name != "." {
		b.WriteString("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n")
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil { // it has gone meanwhile
			continue
		}
		shown, size := e.Name(), fmt.Sprint(info.Size())
		if e.IsDir() {
			shown, size = shown+"/", ""
		}
		link := url.URL{Path: shown} // writes a name with a colon as "./a:b"
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td><td>%s</td><td>%s</td></tr>\n", html.EscapeString(link.String()),
			html.EscapeString(shown), size, info.ModTime().UTC().Format(time.DateTime))
	}
	b.WriteString("</table></body></html>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(b.String())) // an error is the client's, who has left
	}
}
