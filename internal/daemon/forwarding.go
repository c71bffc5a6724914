package daemon

import (
	"errors"
	"path/filepath"
	"time"

	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/logs/search"
)

// watchForward has the logs of a process forwarded, if its app wants that, and no more
// if it does not. An app whose logs cannot be forwarded runs all the same.
func (h *host) watchForward(p *process) {
	var sources []search.Source
	for _, log := range []struct{ stream, path string }{{"out", p.files.out}, {"err", p.files.err}} {
		if log.path == "" {
			continue
		}
		s := search.Source{
			Source: logs.Source{Path: log.path, ID: p.ID, Name: p.Spec.Name, Stream: log.stream}, Err: log.stream == "err",
		}
		if !p.Spec.LogJSON {
			s.Date = dateOf(p.Spec)
		}
		sources = append(sources, s)
	}
	err := h.forward.Watch(p.Spec.Name, p.Spec.LogForward, sources)
	if err == nil && p.Spec.LogForward != "" && len(sources) == 0 {
		err = errors.New("logs are not forwarded: they have no files, and those are what is sent")
	}
	if err != nil {
		h.log.Warn("forward logs", "app", p.Spec.Name, "error", err)
	}
}

// forwardDir is where it is kept what has been forwarded.
func (d *daemon) forwardDir() string { return filepath.Join(d.Home, "lib", "forward") }

// warnOf tells the user of something about an app.
func (d *daemon) warnOf(name, text string) {
	d.happened(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Name: name, Detail: text})
}
