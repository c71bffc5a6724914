package cli

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"paceline/internal/app"
)

// pm2Name is the name under which the command line answers as PM2 does.
const pm2Name = "pm2"

// asPM2 reports whether that is how it was called.
func (c *cli) asPM2() bool { return c.Name == pm2Name }

// forPM2 reports whether the apps are to find what PM2 gives to its own: it was called
// by a name of PM2's.
func (c *cli) forPM2() bool { return strings.HasPrefix(c.Name, pm2Name) }

// daemonSettings puts into an app what the variables say that PM2's daemon is started
// with, where the app itself says nothing.
func (c *cli) daemonSettings(s *app.Spec) {
	if !c.forPM2() {
		return
	}
	usual := app.Defaults()
	if sig := c.getenv("PM2_KILL_SIGNAL"); sig != "" && s.KillSignal == usual.KillSignal {
		if n, err := app.ParseSignal(sig); err == nil {
			s.KillSignal = app.SignalName(n)
		} else {
			c.warn("PM2_KILL_SIGNAL: " + err.Error())
		}
	}
	for name, to := range map[string]*app.Duration{
		"PM2_KILL_TIMEOUT": &s.KillTimeout, "PM2_GRACEFUL_LISTEN_TIMEOUT": &s.ListenTimeout,
	} {
		was := usual.KillTimeout
		if to == &s.ListenTimeout {
			was = usual.ListenTimeout
		}
		if ms, err := strconv.Atoi(c.getenv(name)); err == nil && ms > 0 && *to == was {
			*to = app.Duration(time.Duration(ms) * time.Millisecond)
		}
	}
	if c.getenv("PM2_KILL_USE_MESSAGE") != "" {
		s.ShutdownWithMessage = s.ShutdownWithMessage || s.Runtime == app.RuntimeNode
	}
}

// ownCommand is a command of ours in a text for people: "`pace list`", "  pace stop all".
var ownCommand = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?m)(^|[`\" (|])pace( [a-z-])") })

// renamed makes a text speak of the name that the user has called.
func (c *cli) renamed(text string) string {
	if !strings.HasPrefix(c.Name, pm2Name) {
		return text
	}
	return ownCommand().ReplaceAllString(text, "${1}"+pm2Name+"${2}")
}
