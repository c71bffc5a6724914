// Package settings keeps the user's settings: texts under keys, of which those of an
// app have its name before them: "api.level" or "api:level".
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"paceline/internal/state"
)

// Name is the file's name in the home folder.
const Name = "settings.json"

// Settings are all of them: a text, or those of one app.
type Settings struct {
	Plain map[string]string            `json:"plain"` // by key
	Apps  map[string]map[string]string `json:"apps"`  // by app and key
}

// Load reads a file; one that is not there holds no settings. A broken one is an
// error that names it, and stays as it is.
func Load(file string) (Settings, error) {
	s := Settings{Plain: map[string]string{}, Apps: map[string]map[string]string{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read the settings in %s: %w; mend it or move it away", file, err)
	}
	if s.Plain == nil {
		s.Plain = map[string]string{}
	}
	if s.Apps == nil {
		s.Apps = map[string]map[string]string{}
	}
	return s, nil
}

// Save replaces the file as a whole, readable by its owner alone.
func (s Settings) Save(file string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = state.WriteFile(file, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save the settings: %w", err)
	}
	return nil
}

// Split returns the parts of a key; app is "" if it has one part.
func Split(key string) (app, name string, err error) {
	at := strings.IndexAny(key, ".:")
	if at >= 0 {
		app, name = key[:at], key[at+1:]
	} else {
		name = key
	}
	if name == "" || at == 0 {
		return "", "", fmt.Errorf("the key %q has an empty part; write key, app.key or app:key", key)
	}
	return app, name, nil
}

// Set keeps a value under a key.
func (s Settings) Set(app, name, value string) {
	if app == "" {
		s.Plain[name] = value
		return
	}
	if s.Apps[app] == nil {
		s.Apps[app] = map[string]string{}
	}
	s.Apps[app][name] = value
}

// Get returns the values under a key: of a whole app if the key is its name.
func (s Settings) Get(app, name string) (values map[string]string, ok bool) {
	if app != "" {
		value, ok := s.Apps[app][name]
		return map[string]string{app + ":" + name: value}, ok
	}
	if value, ok := s.Plain[name]; ok {
		return map[string]string{name: value}, true
	}
	values = map[string]string{}
	for key, value := range s.Apps[name] {
		values[name+":"+key] = value
	}
	return values, len(values) > 0
}

// Unset forgets a key, or all of an app; "all" forgets everything.
func (s Settings) Unset(app, name string) {
	switch {
	case app != "":
		if delete(s.Apps[app], name); len(s.Apps[app]) == 0 {
			delete(s.Apps, app)
		}
	case name == "all":
		clear(s.Plain)
		clear(s.Apps)
	default:
		delete(s.Plain, name)
		delete(s.Apps, name)
	}
}

// All returns every key with its value, in order.
func (s Settings) All() (list [][2]string) {
	for _, key := range slices.Sorted(maps.Keys(s.Plain)) {
		list = append(list, [2]string{key, s.Plain[key]})
	}
	for _, app := range slices.Sorted(maps.Keys(s.Apps)) {
		for _, key := range slices.Sorted(maps.Keys(s.Apps[app])) {
			list = append(list, [2]string{app + ":" + key, s.Apps[app][key]})
		}
	}
	return list
}
