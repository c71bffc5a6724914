package dotenv

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refused are inputs of the table that dotenv passes over, or of which it takes
// something that nobody can have meant.
var refused = map[string]string{
	"A:1": "line 1: not NAME=value",
}

// The table is what Node's dotenv 18.0.10 and util.parseEnv of Node 20 answer.
func TestAsNode(t *testing.T) {
	text, err := os.ReadFile("testdata/dotenv.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Input        string
		Dotenv, Node map[string]string
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 70 {
		t.Fatalf("%d rows", len(rows))
	}
	parseEnv := 0
	for _, r := range rows {
		got, err := Parse([]byte(r.Input))
		if want, ok := refused[r.Input]; ok {
			if err == nil || err.Error() != want {
				t.Errorf("%q: %v, want %s", r.Input, err, want)
			}
			continue
		}
		if err != nil || !maps.Equal(got, r.Dotenv) {
			t.Errorf("%q: %q %v, dotenv: %q", r.Input, got, err, r.Dotenv)
		}
		if maps.Equal(got, r.Node) {
			parseEnv++
		}
	}
	t.Logf("%d of %d as util.parseEnv", parseEnv, len(rows))
}

func TestErrors(t *testing.T) {
	for input, want := range map[string]string{
		"A=1\n\nfoo bar\n":                  "line 3: not NAME=value",
		"# c\n=x":                           "line 2: not NAME=value",
		"export A":                          "line 1: not NAME=value",
		"A=1\r\nB=\"secret\r\nC=1":          "line 2: B: the quote \" is not closed",
		"A='it":                             "line 1: A: the quote ' is not closed",
		"A='a\nb'\nB":                       "line 3: not NAME=value",
		"A=a\x00b":                          "line 1: A: the value has a NUL byte",
		"A=\xff":                            "not UTF-8",
		"A=" + strings.Repeat("x", maxSize): "larger than 1 MiB; is it an env file?",
	} {
		env, err := Parse([]byte(input))
		if err == nil || err.Error() != want || env != nil {
			t.Errorf("%.40q: %v %v, want %s", input, env, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	if err := os.WriteFile(file, []byte("\ufeffA=1\nB=\"x\ny\" # c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := Read(file)
	if err != nil || !maps.Equal(env, map[string]string{"A": "1", "B": "x\ny"}) {
		t.Errorf("%q %v", env, err)
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "none"): "read env file " + dir + "/none: no such file or directory",
		dir:                        "read env file " + dir + ": not a file",
		"/dev/zero":                "read env file /dev/zero: not a file",
	} {
		if _, err := Read(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if err := os.WriteFile(file, []byte("A=1\noops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || err.Error() != "env file "+file+": line 2: not NAME=value" {
		t.Errorf("error: %v", err)
	}
	if err := os.WriteFile(file, make([]byte, maxSize+10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("error: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=1\n", "export A='x\\'y' # c", "A: \"a\\nb\"\r\nB=`c`", "\ufeff# c\nA=$B", "A='x' y", "A=\"\\\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		env, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %q", err)
			}
			return
		}
		for name, value := range env {
			if name == "" || strings.ContainsAny(name, "= \n\x00") || strings.ContainsRune(value, 0) {
				t.Fatalf("%q has %q=%q", text, name, value)
			}
			// A value within quotes that it does not contain is taken as it is.
			for _, quote := range []string{"'", "`"} {
				if strings.Contains(value, quote) {
					continue
				}
				again, err := Parse([]byte(name + "=" + quote + value + quote))
				if err != nil || again[name] != value {
					t.Fatalf("%q: again %q %v", value, again, err)
				}
			}
		}
	})
}
