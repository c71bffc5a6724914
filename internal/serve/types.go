package serve

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// types are those that the web has now and that not every system's own list knows.
var types = map[string]string{
	".avif": "image/avif", ".bmp": "image/bmp", ".cjs": "text/javascript; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".eot": "application/vnd.ms-fontobject", ".flac": "audio/flac", ".gz": "application/gzip", ".ico": "image/x-icon",
	".jsonld": "application/ld+json", ".log": "text/plain; charset=utf-8", ".m4a": "audio/mp4", ".map": "application/json",
	".md": "text/markdown; charset=utf-8", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".oga": "audio/ogg", ".ogg": "audio/ogg",
	".ogv": "video/ogg", ".opus": "audio/ogg", ".otf": "font/otf", ".rss": "application/rss+xml", ".tar": "application/x-tar",
	".tif": "image/tiff", ".tiff": "image/tiff", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8", ".wav": "audio/wav",
	".weba": "audio/webm", ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".woff": "font/woff",
	".woff2": "font/woff2", ".xhtml": "application/xhtml+xml", ".zip": "application/zip",
}

// sniffed is how much http.DetectContentType looks at.
const sniffed = 512

// contentType goes by the extension, as PM2. Of what has none that is known it tells
// text from the rest: never a page or a script, which such a file is not meant to be.
func contentType(name string, f io.ReadSeeker) (string, error) {
	const unknown = "application/octet-stream"
	ext := strings.ToLower(path.Ext(name))
	if kind := types[ext]; kind != "" {
		return kind, nil
	}
	if kind := mime.TypeByExtension(ext); kind != "" {
		return kind, nil
	}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return unknown, fmt.Errorf("look into %s: %w", name, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return unknown, fmt.Errorf("look into %s: %w", name, err)
	}
	if kind := http.DetectContentType(head[:n]); !strings.HasPrefix(kind, "text/") {
		return kind, nil
	}
	return "text/plain; charset=utf-8", nil
}
