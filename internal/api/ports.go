package api

import "paceline/internal/app"

// Port is one address that an app's instances share. Counts begin when the address is
// opened, or later: at 0. One that nobody can count is left out.
type Port struct {
	App       string      `json:"app"`
	Address   string      `json:"address"` // as in app.Status.Ports
	Balance   app.Balance `json:"balance"`
	Mechanism string      `json:"mechanism"`        // as in app.Status.Mechanism
	Reason    string      `json:"reason,omitempty"` // as in app.Status.BalanceReason
	// Accepted is how many connections have gone to its instances; one that was moved
	// to another instance counts twice.
	Accepted *int64 `json:"accepted,omitempty"`
	Dropped  int64  `json:"dropped"`   // connections that found the queue full
	Moved    int64  `json:"moved"`     // connections that went from the queue of one instance to another's
	Stuck    int64  `json:"stuck"`     // how often an instance was found to accept nothing
	Queue    int    `json:"queue"`     // connections that wait now
	QueueMax int    `json:"queue_max"` // the most that were seen to wait in one queue
	Copies   []Copy `json:"copies"`    // by id: each instance that has a queue or a count of its own; empty if they are not known apart
}

// Copy is one instance's part in a Port.
type Copy struct {
	ID       int    `json:"id"`
	Index    int    `json:"index"`              // as in app.Status
	Accepted *int64 `json:"accepted,omitempty"` // as in Port
	Queue    *int   `json:"queue,omitempty"`    // connections that wait for it alone
}

// PortsQuery selects ports.
type PortsQuery struct {
	Targets []string // as in TargetsRequest, of instances that share a port; none means all
}
