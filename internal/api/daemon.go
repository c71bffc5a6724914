package api

import "time"

// Version tells which daemon answers.
type Version struct {
	Version   string    `json:"version"`
	API       int       `json:"api"` // Number
	PID       int       `json:"pid"`
	KeeperPID int       `json:"keeper_pid"`
	Home      string    `json:"home"`
	StartedAt time.Time `json:"started_at"`
}

// UpdateRequest asks for another daemon in the place of this one.
type UpdateRequest struct {
	Binary string `json:"binary"` // absolute path of the new pace
}

// UpdateReply tells what will happen; the old daemon ends after it.
type UpdateReply struct {
	PID int `json:"pid"` // of the daemon that ends
}

// KillRequest asks for the end of everything.
type KillRequest struct {
	// Remember leaves the apps in the list, so that the next daemon starts those that
	// ran; otherwise they are forgotten.
	Remember bool `json:"remember,omitempty"`
}

// KillReply tells what was ended. The daemon and the keeper end after it.
type KillReply struct {
	Stopped   int `json:"stopped"` // instances
	PID       int `json:"pid"`
	KeeperPID int `json:"keeper_pid"`
}

// Check is one finding of the doctor.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // why not, or what was found
	Needs  string `json:"needs,omitempty"`  // "Linux 5.3", ...
}
