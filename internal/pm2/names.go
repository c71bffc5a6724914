package pm2

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"paceline/internal/app"
)

// Me returns the name of the user who runs this program, its number if it has none.
var Me = sync.OnceValue(func() string {
	u, err := user.Current()
	if err != nil {
		return strconv.Itoa(os.Getuid())
	}
	return u.Username
})

// Interpreter returns how PM2 would name the spec's interpreter: by its word if that
// finds it on this program's PATH, else "", which means its path.
func Interpreter(s *app.Spec) string {
	if s.Interpreter == "" {
		return ""
	}
	word := filepath.Base(s.Interpreter)
	if found, ok := lookups.Load(word); ok {
		if found == s.Interpreter {
			return word
		}
		return ""
	}
	found, err := exec.LookPath(word)
	if err != nil {
		found = ""
	}
	lookups.Store(word, found)
	if found == s.Interpreter {
		return word
	}
	return ""
}

// lookups remembers what PATH has under a word, for lists of many apps.
var lookups sync.Map
