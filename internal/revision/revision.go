// Package revision tells the code of a program from other code: by the git commit of
// the checkout that it is in, and by when its file was written.
package revision

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// shown is how many digits of a commit are shown.
const shown = 12

// maxRead bounds what is read of one of git's files.
const maxRead = 1 << 20

// Of returns the revision of a program: "commit 1a2b3c4d5e6f, main.js written
// 2026-01-31 12:00:00". Cwd is the folder in which it runs. What cannot be found out is
// left out, "" if it is everything. It reads a few small files.
func Of(exec, cwd string) string {
	var parts []string
	commit := Commit(cwd)
	if commit == "" {
		commit = Commit(filepath.Dir(exec))
	}
	if commit != "" {
		parts = append(parts, "commit "+commit[:min(shown, len(commit))])
	}
	if info, err := os.Stat(exec); err == nil && info.Mode().IsRegular() {
		parts = append(parts, fmt.Sprintf("%s written %s", filepath.Base(exec), info.ModTime().UTC().Format(time.DateTime)))
	}
	return strings.Join(parts, ", ")
}

// Commit returns the commit that a git checkout is at, of the nearest checkout at or
// above folder; "" if there is none, or it cannot be read. Uncommitted changes it does
// not see.
func Commit(folder string) string {
	if !filepath.IsAbs(folder) {
		return ""
	}
	for dir := filepath.Clean(folder); ; dir = filepath.Dir(dir) {
		dot := filepath.Join(dir, ".git")
		if info, err := os.Stat(dot); err == nil {
			if info.Mode().IsRegular() { // a worktree or a submodule
				dot = pointer(dot)
			}
			return head(dot)
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// pointer reads a .git file: "gitdir: /path".
func pointer(file string) string {
	text, err := read(file)
	path, ok := strings.CutPrefix(text, "gitdir: ")
	if err != nil || !ok {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	return path
}

// head returns the commit of HEAD of a git folder.
func head(git string) string {
	if git == "" {
		return ""
	}
	text, err := read(filepath.Join(git, "HEAD"))
	if err != nil {
		return ""
	}
	ref, symbolic := strings.CutPrefix(text, "ref: ")
	if !symbolic {
		return commit(text)
	}
	if !strings.HasPrefix(ref, "refs/") || strings.Contains(ref, "..") {
		return ""
	}
	common := git
	if text, err := read(filepath.Join(git, "commondir")); err == nil {
		if common = text; !filepath.IsAbs(text) {
			common = filepath.Join(git, text)
		}
	}
	for _, dir := range []string{git, common} {
		if text, err := read(filepath.Join(dir, filepath.FromSlash(ref))); err == nil {
			return commit(text)
		}
	}
	return packed(filepath.Join(common, "packed-refs"), ref)
}

// packed finds a ref in the file of many.
func packed(file, ref string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // nothing was written
	lines := bufio.NewScanner(io.LimitReader(f, maxRead))
	for lines.Scan() {
		if id, name, ok := strings.Cut(lines.Text(), " "); ok && name == ref {
			return commit(id)
		}
	}
	return ""
}

// commit returns text if it is the name of a commit.
func commit(text string) string {
	if len(text) < 40 || len(text) > 64 || strings.Trim(text, "0123456789abcdef") != "" {
		return ""
	}
	return text
}

var errTooLong = errors.New("too long")

// read returns a small file without the blanks around it.
func read(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRead {
		return "", errTooLong
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRead))
	return strings.TrimSpace(string(text)), err
}
