package js

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Every program in testdata prints the same here and in Node.
func TestProgramsPrintWhatTheyPrintInNode(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*js")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node as the reference: install nodejs")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			reference := exec.CommandContext(patient(t), node, filepath.Base(file))
			reference.Dir = "testdata"
			reference.Stderr = os.Stderr
			want, err := reference.Output()
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out, stderr buffer
			w := start(t, string(text), Options{Name: filepath.Base(file), Main: true, FS: os.DirFS("testdata"), Stdout: &out, Stderr: &stderr})
			if err := w.Wait(patient(t)); err != nil {
				t.Errorf("Wait: %v", err)
			}
			if got := out.bytes(); !bytes.Equal(got, want) || len(stderr.bytes()) > 0 {
				t.Errorf("it prints\n%s\nand on stderr\n%s\nNode prints\n%s", got, stderr.bytes(), want)
			}
		})
	}
}
