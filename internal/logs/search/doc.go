// Package search finds lines in logs: by a pattern, by time and by level, in rotated
// and compressed files too, and merges what it finds by time.
//
// # How fast
//
// Files are read in large blocks. Where the pattern has a text that every match
// contains, only the lines with that text are looked at. Whether a line matches is told
// by a table of states and runes, which is made as it is needed (see [dfa]): one step
// for a byte, whatever the pattern. Where it has too many states for a table, package
// regexp is asked. Nothing is allocated for a line. With a time, files that were not
// written in it are passed over by the time of their last change, and within a file the
// place is found by halving, if its lines have times in order. Compressed files have to
// be read from their beginning.
//
// # The time of a line
//
// It is what the line itself says: see [clock]. A line that says nothing has the time
// of the line before it. In a file without any time all lines count as written when
// the file was: after the last change of the one before it, up to its own last change.
// Merging never changes the order within a file.
//
// # The level of a line
//
// It is what the line itself says: see [levelOf]. A line that begins with a blank or a
// tab, such as the frames of a stack, belongs to the line before. Any other line that
// says nothing is info on standard output and error on standard error.
//
// # Bounds
//
// Memory is about 32 MB for the blocks of all logs together, at most 5 MB for the
// pattern's table, and 50 KB more for each log whose compressed file is being read. A
// line longer than [logs.MaxLineBytes] is looked at in pieces of that length, each as
// if it were a line. A compressed file that is damaged is read as far as it goes, and
// that is told once.
package search
