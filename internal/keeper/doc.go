// Package keeper is the parent of every process that Paceline runs, the one part
// that outlives the daemon.
//
// It spawns, reports exits, keeps descriptors and notes under names, holds seccomp
// filters that it was given, and starts the daemon again when it dies. It has no opinion on apps: what a key or a name
// means, when to signal and when to start anew is the daemon's to decide. What it
// promises:
//
//   - A process exists with everything that was to be kept with it, or not at all.
//   - An exit is told once to each daemon that could have missed it, until Forget.
//   - No signal ever reaches a process that is not of the tree it was meant for.
//     The zombie of a tree's first process stays unreaped until nothing of the
//     tree is left, so its pid, session and group number cannot be used again;
//     every other process is addressed through a pidfd whose start time was
//     compared.
//   - A dead daemon is replaced at once; the API socket and what waits in its
//     queue stay.
//
// [Run] is the keeper's process, [Client] the daemon's side of the wire, [Ensure]
// how the command line gets a keeper if there is none. All state belongs to one
// goroutine (the type keeper); readers and writers of the wire only pass frames.
//
// Linux 5.3 or later: pidfd_open(2). Also used: waitid's __WNOTHREAD (4.7), open
// file description locks (3.15), PR_SET_CHILD_SUBREAPER (3.4); for a trap, seccomp's
// user notification (5.0).
package keeper
