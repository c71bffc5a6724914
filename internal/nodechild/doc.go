// Package nodechild is the worker's end of Node's IPC channel: it makes a process
// that is not Node a worker of a cluster whose primary is Node's, Paceline's
// daemon or package cluster.
//
// The wire is described in package nodeipc, which is the other end. A process finds
// its end by NODE_CHANNEL_FD; with NODE_UNIQUE_ID it is a worker of a cluster,
// else there are only messages.
//
// What this end does with the channel:
//
//   - It reads all the time, whatever the program does, so that neither the primary
//     nor a message that follows ever waits for the program.
//   - A descriptor belongs to the first envelope (NODE_HANDLE) whose line is complete
//     when it has come. Each envelope is answered by exactly one acknowledgement, NACK
//     if its descriptor is missing (we are at our limit), and the primary sends it
//     again. A descriptor that nobody asked for is closed.
//   - A connection is accepted, for the primary, when the program's Accept returns it.
//     Until then the primary may give it to another worker, and does when this one dies
//     or closes the listener.
//   - A line that is no JSON, or longer than 16 MiB, is dropped. Node would die of it.
//   - A line is written whole, in the order of the calls. What does not fit into the
//     socket waits in memory, the program's own messages up to a limit (ErrBusy).
//
// Only the JSON mode of the channel is spoken, not Node's advanced serialisation.
package nodechild
