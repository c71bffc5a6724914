// Package worker runs isolated workers inside a process: the counterpart of
// Node's worker_threads.
package worker
