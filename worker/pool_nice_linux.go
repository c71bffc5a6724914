package worker

import "golang.org/x/sys/unix"

// mostNice is the highest nice value that there is.
const mostNice = 19

// beNice raises the nice value of the calling thread, to which its goroutine is locked,
// and returns by how much. Anybody may; only going back needs a right. With 0 for the
// process, Linux means the calling thread: setpriority(2), "C library/kernel differences".
// Threads that Go starts do not inherit it, as it has others start them where the
// caller is locked to its own.
func beNice(by int) int {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	now := 20 - raw // the system call's own way to have no negative result
	nice := min(now+by, mostNice)
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
		return 0 // a sandbox forbids it: the task is still done
	}
	return nice - now
}
