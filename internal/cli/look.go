package cli

import (
	"maps"
	"slices"

	"paceline/internal/app"
)

// look is how the output appears.
type look struct {
	terminal bool // somebody looks at it
	width    int  // of the terminal
	colour   bool // the surroundings allow colours
	noColour bool // --no-color
}

// newLook looks at terminal and environment: NO_COLOR of any value and TERM=dumb
// mean no colours, and a dumb terminal no boxes either.
func (c *cli) newLook() look {
	width, ok := c.Terminal(c.Stdout)
	if !ok {
		return look{}
	}
	if width <= 0 {
		width = 80
	}
	dumb := c.getenv("TERM") == "dumb"
	return look{terminal: !dumb, width: width, colour: !dumb && c.getenv("NO_COLOR") == ""}
}

// The ANSI colours in use.
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	blue    = "34"
	magenta = "35"
	cyan    = "36"
)

// paint colours text where colours are wanted.
func (l look) paint(colour, text string) string {
	if !l.colour || l.noColour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func stateColour(s app.State) string {
	switch s {
	case app.Online:
		return green
	case app.Errored:
		return red
	case app.Stopped:
		return dim
	}
	return yellow
}

// nameColours tell apps apart in logs. Red is left to stderr.
func nameColours() []string {
	return []string{cyan, green, yellow, magenta, blue, "96", "92", "93", "95", "94"}
}

// colourOf gives a name the same colour in every run, unless another name has
// taken it: then the next that is free, while there is one.
func colourOf(name string, taken map[string]string) string {
	if colour, ok := taken[name]; ok {
		return colour
	}
	hash := uint32(2166136261) // FNV-1a
	for i := range len(name) {
		hash = (hash ^ uint32(name[i])) * 16777619
	}
	colours := nameColours()
	used := slices.Collect(maps.Values(taken))
	first := int(hash % uint32(len(colours)))
	for i := range colours {
		colour := colours[(first+i)%len(colours)]
		if !slices.Contains(used, colour) {
			taken[name] = colour
			return colour
		}
	}
	taken[name] = colours[first]
	return colours[first]
}
