// Package supervisor runs the life of every instance: when it starts, restarts,
// stops and is replaced.
//
// Each instance is owned by one goroutine, in which the pure function next
// (state.go, printed in docs/states.md) decides and instance.go acts. One more
// goroutine, Supervisor.run, owns which apps and instances there are. Readers
// get snapshots. Processes come from a Host, which the daemon implements.
package supervisor
