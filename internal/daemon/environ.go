package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"paceline/internal/app"
	"paceline/internal/dotenv"
	"paceline/internal/nodeipc"
	"paceline/internal/pm2"
	"paceline/internal/supervisor"
)

// given is what a process finds among its descriptors, and its number.
type given struct {
	channel int               // the descriptor of its Node channel
	worker  uint64            // its number as a worker of Node's cluster module
	asks    bool              // with package cluster: it asks for TCP sockets as well
	sockets []string          // from descriptor 3 on: SD_LISTEN_FDS_START, see sd_listen_fds(3)
	pm2     map[string]string // what PM2 gives to its processes; see pm2Vars
}

// hasChannel reports whether the app's processes get a Node IPC channel: node
// itself does, a program with package cluster, and one that was told to speak on it. A
// wrapper such as npm would swallow it.
func hasChannel(s *app.Spec) bool {
	return (s.Runtime == app.RuntimeNode && s.Wrapper == "") || s.Runtime == app.RuntimeSDK || s.WaitReady || s.ShutdownWithMessage
}

// asksPrimary reports whether the app's processes may ask us for sockets on their channel.
func asksPrimary(s *app.Spec) bool { return isClusterNode(s) || s.SDKWorkers() }

// asksForAll reports whether the process asks us for its TCP sockets as well: a Node
// worker, and one with package cluster where nothing can be adopted.
func asksForAll(p *process) bool {
	return isClusterNode(p.Spec) || p.Spec.SDKWorkers() && p.cluster != nil && p.cluster.untrapped()
}

// isClusterNode reports whether the app's processes are workers of Node's
// cluster module with Paceline as their primary.
func isClusterNode(s *app.Spec) bool { return s.NodeWorkers() }

// variables are those that the app is configured with: what its .env files say is
// read now, and kept nowhere.
func variables(s *app.Spec) (map[string]string, error) {
	env := maps.Clone(s.Env)
	if env == nil {
		env = map[string]string{}
	}
	for _, file := range s.EnvFiles {
		values, err := dotenv.Read(file)
		if err != nil {
			return nil, err
		}
		for name, value := range values {
			if !slices.Contains(s.EnvOwn, name) {
				env[name] = value
			}
		}
	}
	return env, nil
}

// checkEnvFiles reports the first .env file of apps that cannot be read: nothing is to
// be stopped for a process that could not be started.
func checkEnvFiles(specs []app.Spec) error {
	for i := range specs {
		if _, err := variables(&specs[i]); err != nil {
			return fmt.Errorf("%w: %s: %w", app.ErrInvalid, specs[i].Name, err)
		}
	}
	return nil
}

// pm2Vars is what PM2 gives to its processes, for an app that its user started by
// that name.
func (h *host) pm2Vars(l supervisor.Launch) map[string]string {
	if !l.Spec.PM2 {
		return nil
	}
	f := filesOf(h.home, l.Spec, l.ID)
	return pm2.Environ(pm2.Instance{
		Spec: l.Spec, PIDFile: f.pid, User: pm2.Me(), Interpreter: pm2.Interpreter(l.Spec),
		Status: &app.Status{
			ID: l.ID, Index: l.Index, Restarts: l.Restarts, Unstable: l.Unstable, CreatedAt: l.Created,
			OutFile: f.out, ErrFile: f.err, LogFile: f.both,
		},
	}, h.home, time.Now())
}

// environ is the environment of one process: the app's own, and what tells the
// process which instance it is and what it is given. The app's own goes before
// what PM2 gives, and before the name; what was set for this app goes before all
// but what the process needs to speak with us.
func environ(l supervisor.Launch, g given) ([]string, error) {
	s := l.Spec
	env := map[string]string{"name": s.Name}
	maps.Copy(env, g.pm2)
	own, err := variables(s)
	if err != nil {
		return nil, err
	}
	maps.Copy(env, own)
	instanceVar := s.InstanceVar
	if instanceVar == "" {
		instanceVar = "NODE_APP_INSTANCE"
	}
	for name, value := range map[string]int{instanceVar: l.Index, "pm_id": l.ID} {
		if !slices.Contains(s.EnvOwn, name) { // what is inherited is of another process
			env[name] = strconv.Itoa(value)
		}
	}
	if first, err := strconv.Atoi(env[s.IncrementVar]); err == nil {
		env[s.IncrementVar] = strconv.Itoa(first + l.Index)
	}
	env["PACELINE_APP"] = s.Name
	if hasChannel(s) {
		env["NODE_CHANNEL_FD"] = strconv.Itoa(g.channel)
		env["NODE_CHANNEL_SERIALIZATION_MODE"] = "json"
	}
	if asksPrimary(s) {
		env["NODE_UNIQUE_ID"] = strconv.FormatUint(g.worker, 10)
	}
	if s.SDKWorkers() && !g.asks {
		env["PACELINE_LISTEN"] = "own" // a TCP socket of its own will be adopted
	}
	if len(g.sockets) > 0 { // LISTEN_PID comes when the process knows it; see ListenPID
		env["LISTEN_FDS"] = strconv.Itoa(len(g.sockets))
		env["LISTEN_FDNAMES"] = socketNames(g.sockets)
	}
	list := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list, nil
}

// command is the argv of one process. Node gets the preload that lets
// keep-alive clients leave during a drain.
func command(s *app.Spec, preload string) (path string, argv []string) {
	path, argv = s.Command()
	// Another user may not look into our folder, where the preload is.
	if s.Runtime == app.RuntimeNode && s.Wrapper == "" && preload != "" && s.User == nil && !nodeipc.Restricted(s.InterpreterArgs) {
		argv = slices.Insert(argv, 1, "--require", preload)
	}
	return path, argv
}
