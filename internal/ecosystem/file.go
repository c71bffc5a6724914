package ecosystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"paceline/internal/jseval"
)

// maxFileBytes bounds an app file; 500 apps with all their options are 1 MB.
const maxFileBytes = 8 << 20

// DefaultFiles are the names that are looked for where none is given, in order.
func DefaultFiles() []string {
	return []string{
		"ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.config.mjs", "ecosystem.json", "ecosystem.config.json",
		"ecosystem.yaml", "ecosystem.yml", "ecosystem.config.yaml", "ecosystem.config.yml", "ecosystem.toml", "ecosystem.config.toml",
		"ecosystem.json5", "pm2.config.js", "pm2.config.cjs", "pm2.config.mjs", "pm2.json", "pm2.yaml", "pm2.yml", "process.json",
	}
}

// FindDefault returns the first of DefaultFiles that is in dir.
func FindDefault(dir string) (string, error) {
	for _, name := range DefaultFiles() {
		if fi, err := os.Stat(join(dir, name)); err == nil && fi.Mode().IsRegular() {
			return name, nil
		}
	}
	return "", fmt.Errorf("there is no app file in %s: looked for ecosystem.config.js, .cjs, .mjs, .json, .yaml, .toml and PM2's other names; name what to start, or `pace init` writes one", dir)
}

// IsFile tells whether a word of the command line names an app file: by its ending,
// as a script has one of its own. "-" is the standard input.
//
// PM2 asks whether ".json", ".config.js" and the like stand anywhere in the word; a
// script such as server.json-api.js is a script here.
func IsFile(word string) bool {
	if word == "-" {
		return true
	}
	if strings.ContainsAny(word, " \t\n") {
		if _, err := os.Stat(word); err != nil {
			return false // a command line
		}
	}
	return formatOf(word) != ""
}

// The formats of app files.
type format string

const (
	formatJS   format = "js"
	formatJSON format = "json"
	formatYAML format = "yaml"
	formatTOML format = "toml"
)

// formatOf tells the format by the file's name, "" if it is no app file.
func formatOf(file string) format {
	base := strings.ToLower(filepath.Base(file))
	ext := filepath.Ext(base)
	switch ext {
	case ".json", ".json5":
		return formatJSON
	case ".yaml", ".yml":
		return formatYAML
	case ".toml":
		return formatTOML
	case ".js", ".cjs", ".mjs", ".ts", ".cts", ".mts":
		stem := strings.TrimSuffix(base, ext)
		if strings.HasSuffix(stem, ".config") || strings.HasSuffix(stem, "-pm2") || stem == "ecosystem" || strings.HasPrefix(stem, "ecosystem.") {
			return formatJS
		}
	}
	return ""
}

// parsed is an app file as values.
type parsed struct {
	value  value
	format format
	shown  string // the file's name as the user gave it, for messages
	path   string // absolute; "" for the standard input
}

// parse reads and decodes the file of the options.
func parse(ctx context.Context, o *LoadOptions) (parsed, error) {
	p := parsed{shown: o.File}
	var data []byte
	var err error
	if o.File == "-" {
		p.shown, p.format = "standard input", formatJSON
		if o.Stdin == nil {
			return p, errors.New("standard input: there is none")
		}
		if data, err = limited(o.Stdin); err != nil {
			return p, fmt.Errorf("standard input: %w", err)
		}
	} else {
		if p.format = formatOf(o.File); p.format == "" {
			return p, fmt.Errorf("%s is no app file by its name; want .config.js, .json, .yaml, .toml or the like", o.File)
		}
		p.path = join(o.Dir, o.File)
		if data, err = readFile(p.path); err != nil {
			return p, fmt.Errorf("%s: %w", o.File, err)
		}
	}
	data = withoutBOM(data)
	if strings.TrimSpace(string(data)) == "" {
		return p, fmt.Errorf("%s %w", p.shown, errEmptyFile)
	}
	p.value, err = p.decode(ctx, o, data)
	return p, p.explain(err)
}

// decode reads data in the file's format.
func (p *parsed) decode(ctx context.Context, o *LoadOptions, data []byte) (value, error) {
	switch p.format {
	case formatYAML:
		return decodeYAML(data)
	case formatTOML:
		return decodeTOML(data)
	case formatJSON:
		v, err := decodeJSON(data)
		if _, syntax := errors.AsType[*syntaxError](err); !syntax {
			return v, err
		}
		// PM2 takes .json for a JavaScript expression, and so may have comments,
		// trailing commas and keys without quotes.
		return evaluate(ctx, o, jseval.Source{File: p.path, Text: data, Kind: jseval.Expression})
	}
	switch strings.ToLower(filepath.Ext(p.path)) {
	case ".ts", ".cts", ".mts":
		return value{}, errors.New("an app file in TypeScript cannot be read; write it in JavaScript, JSON, YAML or TOML")
	}
	return evaluate(ctx, o, jseval.Source{File: p.path, Text: data, Kind: jseval.KindOf(p.path)})
}

// evaluate runs JavaScript and reads the value that it gives.
func evaluate(ctx context.Context, o *LoadOptions, src jseval.Source) (value, error) {
	src.Dir, src.Environ = o.Dir, o.Environ
	out, err := jseval.Eval(ctx, src, jseval.Options{Exe: o.Exe, Log: o.Log})
	if err != nil {
		return value{}, err
	}
	v, err := decodeJSON(out)
	if err != nil {
		if _, syntax := errors.AsType[*syntaxError](err); syntax {
			return value{}, fmt.Errorf("the value of the file cannot be read: %w", err)
		}
		return value{}, err
	}
	v.forgetLines() // those of the value, not of the file
	return v, nil
}

func (v *value) forgetLines() {
	v.line = 0
	for i := range v.items {
		v.items[i].forgetLines()
	}
	for i := range v.members {
		v.members[i].line = 0
		v.members[i].value.forgetLines()
	}
}

// explain puts the file's name before an error that has not got it.
func (p *parsed) explain(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*jseval.Error](err); ok {
		if e.File == p.path {
			shown := *e
			shown.File = p.shown
			return &shown
		}
		return err
	}
	if e, ok := errors.AsType[*syntaxError](err); ok && e.line > 0 {
		return fmt.Errorf("%s:%w", p.shown, err)
	}
	return fmt.Errorf("%s: %w", p.shown, err)
}

// readFile reads a regular file that is not too large.
func readFile(file string) (_ []byte, err error) {
	fi, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, bare(err)
	case fi.IsDir():
		return nil, errors.New("is a folder, not an app file")
	case !fi.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case fi.Size() > maxFileBytes:
		return nil, fmt.Errorf("has %d MB; an app file may have %d", fi.Size()>>20, maxFileBytes>>20)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return limited(f)
}

func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("has more than %d MB, which is too much for an app file", maxFileBytes>>20)
	}
	return data, nil
}
