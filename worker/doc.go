// Package worker runs work beside a program's own: isolated workers and pools, in one process.
package worker
