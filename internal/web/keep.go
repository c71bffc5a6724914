package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// sessionFile keeps the sessions over a restart, so that nobody is signed out by one.
// It holds digests alone, and those of one token: another ends them all.
type sessionFile struct {
	name  string // "" keeps nothing
	token digest
	from  *sessions

	mu sync.Mutex // one writes at a time, and the last one what is newest
}

// sessionsOf are the contents.
type sessionsOf struct {
	Token    digest         `json:"token"`
	Sessions []savedSession `json:"sessions"`
}

func (o Options) sessionFile() string { return filepath.Join(o.folder(), "sessions.json") }

// load takes up what an earlier process has left. What cannot be read is as good as
// nothing: everybody signs in again.
func (f *sessionFile) load() error {
	text, err := os.ReadFile(f.name)
	if f.name == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var old sessionsOf
	if err == nil {
		err = json.Unmarshal(text, &old)
	}
	if err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	if old.Token.equals(f.token) {
		f.from.restore(old.Sessions)
	}
	return nil
}

// save writes them down.
func (f *sessionFile) save() error {
	if f.name == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := json.Marshal(sessionsOf{f.token, f.from.all()})
	if err == nil {
		err = writePrivate(f.name, text)
	}
	if err != nil {
		return fmt.Errorf("keep the sessions: %w", err)
	}
	return nil
}
