package worker

import "time"

// Usage is what a thread has used of the machine.
type Usage struct {
	CPU    time.Duration // processor time, User and System together
	User   time.Duration // of it in the program; once the worker has ended
	System time.Duration // of it in the kernel; once the worker has ended
	// How often the thread gave up its processor and how often that was taken from
	// it; once the worker has ended.
	Voluntary, Involuntary int64
}
