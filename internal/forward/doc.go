// Package forward sends what apps write to syslog or to journald, besides their log
// files.
//
// The log files are the buffer: a forwarder reads them as `pace logs` does, so it holds
// up neither an app nor its files. While the receiver takes nothing, lines wait there,
// up to 8 MB of each log; what is beyond is left out, counted, and told once.
//
// Where each log has been read to is kept in a file, written once a second. After a
// kill the lines of at most that second are sent again. What is sent by UDP, or was on
// its way when a TCP connection broke, may be lost: neither protocol tells.
package forward
