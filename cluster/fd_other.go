//go:build !unix

package cluster

func closeOnExec(int) {}
