package cli

import (
	"regexp"
	"strings"
)

// pm2Name is the name under which the command line answers as PM2 does.
const pm2Name = "pm2"

// asPM2 reports whether that is how it was called.
func (c *cli) asPM2() bool { return c.Name == pm2Name }

// forPM2 reports whether the apps are to find what PM2 gives to its own: it was called
// by a name of PM2's.
func (c *cli) forPM2() bool { return strings.HasPrefix(c.Name, pm2Name) }

// ownCommand is a command of ours in a text for people: "`pace list`", "  pace stop all".
var ownCommand = regexp.MustCompile("(?m)(^|[`\" (|])pace( [a-z-])")

// renamed makes a text speak of the name that the user has called.
func (c *cli) renamed(text string) string {
	if !strings.HasPrefix(c.Name, pm2Name) {
		return text
	}
	return ownCommand.ReplaceAllString(text, "${1}"+pm2Name+"${2}")
}
