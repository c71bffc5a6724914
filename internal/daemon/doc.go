// Package daemon puts the parts together: it gives the supervisor its
// processes, serves the API, and takes up where an earlier daemon stopped.
//
// It wires and translates. What an app may do, when it restarts and how it is
// reloaded is the supervisor's to decide; a condition on an app's policy has no
// place here.
package daemon
