// Package state keeps a value in a file so that neither a crash nor a full disk
// can leave half of it.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/google/renameio/v2"
)

// version is the only layout of the file that this release writes and reads.
const version = 1

// ErrCorrupt is wrapped by Load when the file cannot be understood. The error
// names the place to which the file was moved.
var ErrCorrupt = errors.New("corrupt state file")

// ErrVersion is an ErrCorrupt: a different release wrote the file. It is moved
// aside as well, so that the next Save does not destroy it.
var ErrVersion = fmt.Errorf("%w: written by another release", ErrCorrupt)

// file is what stands in the file.
type file struct {
	Version int             `json:"version"`
	Data    json.RawMessage `json:"data"`
}

// Load reads what Save wrote into the value that into points to. A file that
// cannot be used is moved aside and into stays as it was.
// Errors: fs.ErrNotExist if there is no file, ErrCorrupt, ErrVersion.
func Load(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	f, err := decode(b, into)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrVersion):
		return setAside(path, fmt.Sprintf("version%d", f.Version), err)
	}
	return setAside(path, "corrupt", err)
}

// decode reads a whole file; into is touched only if all of it is sound.
func decode(b []byte, into any) (file, error) {
	var f file
	if err := strictly(b, &f); err != nil {
		return f, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Version != version {
		return f, fmt.Errorf("%w: version %d instead of %d", ErrVersion, f.Version, version)
	}
	if len(f.Data) == 0 || bytes.Equal(f.Data, []byte("null")) {
		return f, fmt.Errorf("%w: no data in it", ErrCorrupt)
	}
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic("state: Load needs a pointer to fill")
	}
	fresh := reflect.New(target.Type().Elem())
	if err := strictly(f.Data, fresh.Interface()); err != nil {
		return f, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	target.Elem().Set(fresh.Elem())
	return f, nil
}

// strictly decodes one JSON value with nothing after it. Unknown fields pass:
// a later release of the same version may have added them.
func strictly(b []byte, into any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("it is empty")
	}
	return json.Unmarshal(b, into)
}

// setAside renames an unusable file to <path>.<why>-<time> and says so.
func setAside(path, why string, cause error) error {
	kept := fmt.Sprintf("%s.%s-%s", path, why, time.Now().UTC().Format("20060102T150405.000000000Z"))
	if err := os.Rename(path, kept); err != nil {
		return fmt.Errorf("load state: %w; it could not be moved aside: %w", cause, err)
	}
	return fmt.Errorf("load state: %w; kept as %s", cause, kept)
}

// Save replaces the file by v as a whole: after it returns nil the new content
// survives a power cut, and after an error the old content is still there.
func Save(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	b, err := json.Marshal(file{Version: version, Data: data})
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := WriteFile(path, append(b, '\n')); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// WriteFile replaces a file by content as a whole, readable by its owner alone,
// as Save does.
func WriteFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := replace(dir, path, content); err != nil {
		return err
	}
	return syncDir(dir)
}

// replace writes the file beside the old one and renames it over that.
func replace(dir, path string, content []byte) (err error) {
	// In the same folder, so that the rename stays within one file system; 0600,
	// because an app's environment holds secrets.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// syncDir makes a rename in dir survive a power cut; renameio leaves that out.
func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		return nil // file systems on which a folder cannot be synced
	}
	return err
}
