// Package monit is the dashboard of `pace monit`: apps, their figures and their logs
// on a whole terminal, and keys to act on them.
//
// The Model is pure: what has happened reaches it as messages, what it wants done it
// returns as commands that a backend makes for it. Only the backend speaks to the
// daemon, and only Run to the terminal.
package monit
