package api

import (
	"time"

	"paceline/internal/app"
)

// WhyQuery selects the instances to explain.
type WhyQuery struct {
	Targets []string // as in TargetsRequest; none means all
}

// Why explains how an instance has come to be as it is. Its texts are for people, one
// line each, and hold no value of a variable that may be secret.
type Why struct {
	ID      int       `json:"id"`
	Name    string    `json:"name"`
	State   app.State `json:"state"`
	Healthy bool      `json:"healthy"`         // nothing is the matter, and nothing was in the last hour
	Summary string    `json:"summary"`         // what there is to say, in one line
	Now     string    `json:"now"`             // the state, and why it is that
	What    string    `json:"what,omitempty"`  // what went wrong last; empty: nothing that is known
	At      time.Time `json:"at,omitzero"`     // when that was
	Exit    *app.Exit `json:"exit,omitempty"`  // how the process ended, if that is what happened
	Cause   string    `json:"cause,omitempty"` // who or what ended it, as far as it is known
	// Evidence are facts that speak for the cause: of the kernel's memory killer, of
	// limits, of a report that was saved.
	Evidence []string `json:"evidence,omitempty"`
	Stderr   []string `json:"stderr,omitempty"` // the last lines that it wrote there
	// Memory tells how its memory has developed.
	Memory string `json:"memory,omitempty"`
	// Restarts and Crashes are of the last hour; a crash is an end that nobody asked for.
	Restarts int `json:"restarts"`
	Crashes  int `json:"crashes"`
	// LastGood is when its last good run ended or began to fail: one of a minute or
	// more, or one that was ended by a command.
	LastGood time.Time `json:"last_good,omitzero"`
	// Changed is what is different since then: version, variables by name, fields.
	Changed []string `json:"changed,omitempty"`
	Next    []Step   `json:"next,omitempty"` // what to do, the first first
}

// Step is something to do.
type Step struct {
	Text    string `json:"text"`              // what, and what for
	Command string `json:"command,omitempty"` // to be typed
}
