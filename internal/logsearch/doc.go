// Package logsearch runs a search of logs in a process of its own: a role of this
// program that gets a Request on its standard input and writes the stream of events
// that the API answers with to its standard output. Whoever serves the API passes that
// on as it is. So a search costs the daemon neither time nor memory, whatever is in the
// files, and gives way to everything else on the machine.
package logsearch
