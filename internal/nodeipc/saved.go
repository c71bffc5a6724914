package nodeipc

import (
	"encoding/json"
	"slices"
)

// savedVersion is raised when an older daemon could not go on with what is written here.
const savedVersion = 1

// workerState is what the next daemon has to know about a worker, kept by WorkerOptions.Save.
type workerState struct {
	Version int   `json:"v"`
	Seq     int64 `json:"seq"`  // where our own numbers started
	Last    int64 `json:"last"` // highest of the worker's numbers that changed this state
	Online  bool  `json:"online,omitempty"`
	Ready   bool  `json:"ready,omitempty"`
	Leaving bool  `json:"leaving,omitempty"`
	Out     bool  `json:"out,omitempty"` // of the hand-off rotation
	// Torn is set while the first line is being put together in memory, because its start is lost
	// if the daemon dies meanwhile. Tail belongs to tornDone: what is left of the line.
	Torn   tear        `json:"torn,omitempty"`
	Tail   uint32      `json:"tail,omitempty"`
	Held   []savedHold `json:"held,omitempty"`
	Failed []savedFail `json:"failed,omitempty"` // the last listens that were answered with an error
}

type tear string

const (
	tornLine   tear = "line"
	tornHandle tear = "handle" // came with a descriptor, so the worker waits for an acknowledgement
	tornDone   tear = "done"   // acted on; the last part of it, with checksum Tail, may still be there
)

// savedHold is a listener that the worker holds.
type savedHold struct {
	Key       string  `json:"key"`
	Seq       int64   `json:"seq"` // of the queryServer that this answered
	Request   Request `json:"request"`
	HandOff   bool    `json:"handoff,omitempty"`
	Listening bool    `json:"listening,omitempty"`
}

type savedFail struct {
	Seq   int64  `json:"seq"`
	Errno int    `json:"errno"`
	Key   string `json:"key"`
}

// failed remembers a refused listen, in case it is read again after a restart.
func (s *workerState) failed(f savedFail) {
	s.Failed = append(s.Failed, f)
	if n := len(s.Failed); n > 8 { // a worker rarely has more than one listen under way
		s.Failed = slices.Clone(s.Failed[n-8:])
	}
}

func (s *workerState) encode() []byte {
	s.Version = savedVersion
	b, err := json.Marshal(s)
	if err != nil {
		panic("nodeipc: worker state does not marshal: " + err.Error())
	}
	return b
}

// decodeWorkerState returns the zero state, and false, for what is no state of ours.
func decodeWorkerState(b []byte) (workerState, bool) {
	var s workerState
	if len(b) == 0 || json.Unmarshal(b, &s) != nil || s.Version != savedVersion {
		return workerState{}, false
	}
	return s, true
}

// primaryState is what belongs to no single worker, kept by PrimaryOptions.Save.
type primaryState struct {
	Version int `json:"v"`
	// Data holds per listener the first `data` that a worker gave: TLS ticket keys, which all of
	// them have to share or sessions could only be resumed on the worker that made them.
	Data map[string]json.RawMessage `json:"data,omitempty"`
}

func (s *primaryState) encode() []byte {
	s.Version = savedVersion
	b, err := json.Marshal(s)
	if err != nil {
		panic("nodeipc: primary state does not marshal: " + err.Error())
	}
	return b
}

func decodePrimaryState(b []byte) primaryState {
	var s primaryState
	if len(b) == 0 || json.Unmarshal(b, &s) != nil || s.Version != savedVersion {
		s = primaryState{}
	}
	if s.Data == nil {
		s.Data = map[string]json.RawMessage{}
	}
	return s
}
