package daemon

import (
	"os"

	"paceline/internal/keeper"
)

// portStore keeps sockets with the keeper.
type portStore struct{ keeper *keeper.Client }

// Keep implements port.Store.
func (s portStore) Keep(name string, note []byte, f *os.File) error {
	return s.keeper.Note(keeper.Named{Name: name, Note: note, File: f})
}

// Drop implements port.Store.
func (s portStore) Drop(names ...string) error { return s.keeper.Drop(names...) }
