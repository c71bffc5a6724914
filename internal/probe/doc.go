// Package probe sends a small HTTP load to a server and tells what became of each request.
package probe
