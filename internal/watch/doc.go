// Package watch says when files of an app have changed.
//
// # What is watched
//
// A [Rule] names folders, files and globs. Of a folder everything below it is
// watched, also what is created later and what symbolic links in it lead to; a
// name that does not exist yet, or is gone, is waited for. Ignored folders are
// not looked into, so that they cost nothing. There is one inotify instance and
// one watch for each folder, however many apps share it. Every 30 seconds the
// names in the rules are looked up again, which finds what no event tells: that a
// folder further up was replaced, or a file system mounted over it.
//
// # What counts as a change
//
// A file or folder that is written to, created, removed or renamed, and a file
// whose time is set to now (touch). A change of owner or mode does not count, and
// reading never does. A path whose watched root is missing is held back until the
// root is there again: `rm -rf dist && build` is one change, when it has ended.
//
// # When Fire is called
//
// When there was no change for [Quiet], but at most [Longest] after the first one;
// then Rule.Delay passes, and what changes meanwhile belongs to the same call. It
// is not called for an app for which it is still running. Changes during that
// time are kept and lead to one more call: PM2 drops them, which leaves the old
// code running if a file is saved just after a restart has read it. The price is
// that an app which writes into its own watched folder at each start restarts for
// ever; that is logged once, with the name of the file to be ignored.
//
// If the kernel's queue of events overflows, everything is looked at again, and
// Fire is called for every app, for nobody knows what changed.
package watch
