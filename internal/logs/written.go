package logs

// Written is what a Pump has done to a log file since it began.
type Written struct {
	Bytes        int64 // that were written, in the form of the file
	DroppedBytes int64 // of output that could not be
	DroppedLines int64 // how many lines end in these, as far as they were looked at
}
