package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"paceline/internal/app"
)

// FileName is the name of the file with the hooks of all apps, in the home folder.
const FileName = "hooks.json"

// file is what stands in it.
type file struct {
	Hooks []app.Hook `json:"hooks"`
}

// Load reads the hooks of all apps; a file that is not there holds none. Errors name the
// file and what is wrong in it.
func Load(path string) ([]app.Hook, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the hooks of all apps: %w", err)
	}
	list, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read the hooks of all apps in %s: %w; mend it, or `pace hooks` anew", path, err)
	}
	return list, nil
}

// decode reads and checks the file.
func decode(text []byte) ([]app.Hook, error) {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	if len(f.Hooks) > app.MaxHooks {
		return nil, fmt.Errorf("%d hooks are more than %d", len(f.Hooks), app.MaxHooks)
	}
	for i := range f.Hooks {
		if err := f.Hooks[i].Validate(); err != nil {
			return nil, fmt.Errorf("hook %d: %w", i+1, err)
		}
	}
	return f.Hooks, nil
}

// Encode writes the content of the file.
func Encode(list []app.Hook) []byte {
	text, err := json.MarshalIndent(file{Hooks: list}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("hooks: encode: %v", err)) // it holds only plain values
	}
	return append(text, '\n')
}
