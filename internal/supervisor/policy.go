package supervisor

import (
	"time"

	"paceline/internal/app"
)

const (
	// backoffCeiling, backoffReset and the factor in nextDelay are PM2's.
	backoffCeiling = 15 * time.Second
	backoffReset   = 30 * time.Second
	// startRetry is the least wait after a process could not be started at all: a
	// program that is being replaced on disk is back after a moment, and sixteen
	// failing execs would take less than that.
	startRetry = 100 * time.Millisecond
	// killPatience is the least time that SIGKILL is given. A process in an
	// uninterruptible wait, for a disk or a network file system, can need it.
	killPatience = 2 * time.Second
	// drainLimit is how long a drain may take. Node keeps an idle connection open
	// for 5 s (docs: server.keepAliveTimeout).
	drainLimit = 5500 * time.Millisecond
	// examineWait is how long it may take to save what a process that hangs is doing.
	examineWait = 15 * time.Second
)

// awaited is what makes an instance ready.
type awaited uint8

const (
	nothing  awaited = iota // being online is all there is to know
	aMessage                // process.send('ready')
	aListen                 // a listening socket, or 'ready'
)

// policy is what next needs to know of a spec.
type policy struct {
	autorestart   bool
	maxRestarts   int
	minUptime     time.Duration
	restartDelay  time.Duration
	backoff       time.Duration
	stopCodes     []int
	killTimeout   time.Duration // from the stop signal to SIGKILL
	listenTimeout time.Duration
	await         awaited
	startup       bool // a check has to pass before it is ready
	readiness     bool // and so long as it is ready
	checked       bool // it has checks
	replacesHung  bool // one that hangs is replaced
	surges        bool // a successor can be beside it
	reports       bool // the process says itself when it is online
	depends       bool // it is started after other apps
	retries       bool // once errored, it is tried again after app.SlowRetry
	job           bool // it is run at times, not kept up
}

func policyOf(s *app.Spec) policy {
	p := policy{
		autorestart:   !s.NoAutorestart && s.Job == "",
		maxRestarts:   s.MaxRestarts,
		minUptime:     time.Duration(s.MinUptime),
		restartDelay:  time.Duration(s.RestartDelay),
		backoff:       time.Duration(s.ExpBackoff),
		stopCodes:     s.StopExitCodes,
		killTimeout:   time.Duration(s.KillTimeout),
		listenTimeout: time.Duration(s.ListenTimeout),
		reports:       isWorker(s),
		depends:       len(s.DependsOn) > 0,
		retries:       !s.NoRetry,
		job:           s.Job != "",
		replacesHung:  s.OnHang == app.HangReplace,
	}
	if s.Health != nil {
		p.checked = true
		p.startup, p.readiness = s.Health.Startup != nil, s.Health.Readiness != nil
		if c := s.Health.Startup; c != nil {
			p.listenTimeout = max(p.listenTimeout, c.Patience())
		}
	}
	switch {
	case s.WaitReady:
		p.await = aMessage
	case p.reports:
		p.await = aListen
	}
	return p
}

// shows reports whether there is a sign by which the instance is known to be ready.
func (p policy) shows() bool { return p.await != nothing || p.startup || p.readiness }

// isWorker reports whether the app's processes are workers of Node's cluster
// module, which say when they are up and share what they listen on.
func isWorker(s *app.Spec) bool { return s.NodeWorkers() }

// killWait is how long SIGKILL may take until the process is given up.
func (p policy) killWait() time.Duration { return max(p.killTimeout, killPatience) }

// drainWait is how long a drain may take.
func (p policy) drainWait() time.Duration { return max(p.killTimeout, drainLimit) }

// nextDelay is the wait before the restart that follows a process which ended
// after uptime, the one before having been preceded by a wait of last.
func (p policy) nextDelay(last, uptime time.Duration) time.Duration {
	switch {
	case p.backoff <= 0:
		return p.restartDelay
	case last <= 0 || uptime >= backoffReset:
		return p.backoff
	}
	// A first value above the ceiling is the user's wish and stays.
	return max(min(last+last/2, backoffCeiling), p.backoff)
}
