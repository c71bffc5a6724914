package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"paceline/internal/adopt"
	"paceline/internal/api"
	"paceline/internal/kernel"
	"paceline/internal/port"
)

// version tells which daemon this is.
func (d *daemon) version(*http.Request) (any, error) {
	return api.Version{
		Version: d.Version, API: api.Number, PID: os.Getpid(), KeeperPID: os.Getppid(),
		Home: d.Home, StartedAt: d.started,
	}, nil
}

// kill ends all apps, then the daemon and the keeper.
func (d *daemon) kill(r *http.Request) (any, error) {
	q, err := api.DecodeKill(r.Body)
	if err != nil {
		return nil, err
	}
	if q.Remember {
		if err := d.remember(); err != nil {
			return nil, err
		}
	}
	ids := d.ids()
	if len(ids) > 0 {
		d.commanded(r, "kill", ids)
		// What is asked to end must end, even if who asked does not wait for it.
		if err := d.deleteAll(context.WithoutCancel(r.Context()), ids); err != nil {
			return nil, fmt.Errorf("end the apps: %w", err)
		}
	}
	if err := d.host.keeper.Shutdown(); err != nil {
		return nil, fmt.Errorf("end the keeper: %w", err)
	}
	d.leave()
	return api.KillReply{Stopped: len(ids), PID: os.Getpid(), KeeperPID: os.Getppid()}, nil
}

// remember has the state file be what it is now, whatever becomes of the apps until
// the daemon ends.
func (d *daemon) remember() error {
	text, err := os.ReadFile(d.statePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil // there are no apps
	}
	if err != nil {
		return fmt.Errorf("remember the apps: %w", err)
	}
	d.remembered = text
	return nil
}

// deleteAll ends all instances and lets their ports go.
func (d *daemon) deleteAll(ctx context.Context, ids []int) error {
	names := d.namesOf(ids)
	_, err := d.supervisor.Delete(ctx, ids)
	for _, name := range names {
		d.host.rest(name, d.slots(name))
	}
	return err
}

// ids are those of all instances.
func (d *daemon) ids() []int {
	list := d.supervisor.List()
	ids := make([]int, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return ids
}

// probeTimeout bounds the trial run of a new binary.
const probeTimeout = 10 * time.Second

// update puts another binary in the place of this daemon. The apps, their pipes,
// channels and sockets stay with the keeper meanwhile.
func (d *daemon) update(r *http.Request) (any, error) {
	q, err := api.DecodeUpdate(r.Body)
	if err != nil {
		return nil, err
	}
	if name := d.supervisor.Reloading(); name != "" {
		return nil, &api.Error{Code: api.CodeBusy, Message: fmt.Sprintf("a reload of %s is under way; update when it has ended", name)}
	}
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, q.Binary, "version").Output()
	if err != nil {
		return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%s does not run: %v; the daemon stays as it is", q.Binary, err)}
	}
	if err := d.host.keeper.Replace(q.Binary); err != nil {
		return nil, fmt.Errorf("replace the daemon by %s: %w", q.Binary, err)
	}
	d.log.Info("replaced", "by", strings.TrimSpace(string(out)), "binary", q.Binary)
	d.leave()
	return api.UpdateReply{PID: os.Getpid()}, nil
}

// doctor tells what this system lets Paceline do.
func (d *daemon) doctor(*http.Request) (any, error) { return Doctor(), nil }

// Doctor runs the checks of `pace doctor`; they need no daemon.
func Doctor() []api.Check {
	var checks []api.Check
	for _, p := range kernel.Probes() {
		c := api.Check{Name: p.Name, OK: true, Needs: p.Needs}
		if err := p.Run(); err != nil {
			c.OK, c.Detail = false, err.Error()
		} else if p.Found != nil {
			c.Detail = p.Found()
		}
		checks = append(checks, c)
	}
	support := port.Probe()
	checks = append(checks, api.Check{
		Name: "round robin in the kernel", OK: support.Kernel, Detail: support.Reason, Needs: "Linux 5.14",
	})
	adoption := api.Check{Name: "one port for copies of any program", OK: true, Needs: "Linux 5.14"}
	if err := adopt.Probe(); err != nil {
		adoption.OK, adoption.Detail = false, err.Error()
	}
	return append(checks, adoption)
}

// leave lets the daemon end once the answer in progress is sent.
func (d *daemon) leave() {
	select {
	case d.left <- struct{}{}:
	default: // it is leaving already
	}
}
