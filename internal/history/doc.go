// Package history keeps what instances have used: a value each second for ten
// minutes, each minute for a day and each hour for thirty days.
//
// It counts seconds by a clock that nobody sets, so that a change of the wall clock
// neither loses samples nor counts any twice: what is kept is how long ago something
// was. An instance's rings take less than 20 kB, as values are kept as small floating
// point numbers. They are in memory; on disk are an image of them, written anew now
// and then, and a journal of what has been recorded since, so that a process that is
// killed loses the second under way.
package history
