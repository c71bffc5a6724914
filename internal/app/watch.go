package app

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Watch has an app restarted when files change.
type Watch struct {
	// Off says that the app is not watched at present: `stop` and
	// `restart --watch` switch it, and the rest of the rule stays.
	Off bool `json:"off,omitempty"`
	// Paths are files, folders and globs, absolute; none means the app's Cwd.
	Paths []string `json:"paths,omitempty"`
	// Ignore are names, globs and /regular expressions/, relative to Cwd or
	// absolute. nil means dotfiles and node_modules, as in PM2; an empty list nothing.
	Ignore []string `json:"ignore,omitzero"`
	Delay  Duration `json:"delay,omitempty"` // from the change to the restart
}

// Watching reports whether changed files restart the app.
func (s *Spec) Watching() bool { return s.Watch != nil && !s.Watch.Off }

func (w *Watch) validate() error {
	if w == nil {
		return nil
	}
	for _, p := range w.Paths {
		if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) {
			return fmt.Errorf("watch: %q is not an absolute path", p)
		}
	}
	for _, p := range w.Ignore {
		if strings.ContainsRune(p, 0) {
			return fmt.Errorf("ignore_watch: %q holds a NUL byte", p)
		}
	}
	if w.Delay < 0 {
		return fmt.Errorf("watch_delay %s is negative", w.Delay)
	}
	return nil
}
