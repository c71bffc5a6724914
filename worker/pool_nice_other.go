//go:build !linux

package worker

// beNice has no effect here: where setpriority knows threads at all, it is by another way.
func beNice(int) int { return 0 }
