// Package logs moves what processes print from their pipes to rotated files and
// reads it back.
//
// # What is promised
//
// A [Pump] keeps these promises while somebody else (Paceline's keeper) holds a
// duplicate of each pipe's read end, so that a pipe outlives the pump:
//
//   - No line is lost, torn or mixed with another, also if the process that runs
//     the pump is killed at any moment and the next one adds the same pipes and
//     files: each byte is then in its file exactly once. This needs
//     Options.Journal. Without it, it holds for a plain file with one stream only;
//     in other files a kill can repeat the last block (at most 256 KiB) and tear
//     the line that was being written.
//   - A file with one stream and no prefix holds exactly the bytes that the
//     program wrote: any encoding, NUL bytes, CRLF, no newline at the end.
//   - A file with several streams gets whole lines. A line longer than a pipe
//     holds is passed on in pieces while the others wait; if it stands still for
//     a second (or takes ten), it is ended with a newline and they go on.
//   - Where a stream ended without a newline and another one follows in the same
//     file, a newline is put in between.
//   - A program is never held up by a full disk (output is dropped and counted,
//     and the count is written into the file when it can be), by a reader of the
//     logs, or by the length of a line. It is held up by a disk that blocks.
//   - Memory is bounded by a few hundred kilobytes for all streams together, plus
//     about one kilobyte for each.
//
// After a power failure files are as the file system left them: nothing is
// synced but what compression replaces.
//
// # Files
//
// A log "api-out.log" that has reached its size becomes "api-out.log.1", what was
// that "api-out.log.2", and so on up to FileSpec.Keep: the scheme of logrotate.
// Old files are compressed to "api-out.log.1.gz" one at a time, five seconds
// after the last rotation: a flood is not slowed by compressing what it is about
// to push out, and takes up to Keep uncompressed files meanwhile. A kill in the
// middle leaves the original. Files change at a line boundary; only a line that
// alone would make a file twice as large as allowed is cut.
//
// Files may be truncated, moved or removed by others at any time: a truncated one
// goes on at its new end, in place of a removed or moved one a new file is made,
// within a second.
//
// # How
//
// Where nobody has to know what the bytes are, splice(2) moves them from the pipe
// to the file, so that they are never in our memory: they leave the one as they
// appear in the other. The bytes of a program that fills its pipe go by way of a [Stage],
// so that it goes on writing meanwhile. Where lines matter, tee(2) shows what is in the pipe, and
// it leaves the pipe only when it is in the files.
package logs
