package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/axm"
	"paceline/internal/supervisor"
)

// signal sends a signal to processes.
func (d *daemon) signal(r *http.Request) (any, error) {
	q, err := api.DecodeSignal(r.Body)
	if err != nil {
		return nil, err
	}
	sig, err := app.ParseSignal(q.Signal)
	if err != nil {
		return nil, &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	ids, err := d.supervisor.Resolve(q.Targets)
	if err != nil {
		return nil, err
	}
	d.commanded(r, "signal "+app.SignalName(sig), ids)
	list, err := d.supervisor.Signal(ids, sig)
	return d.reply(list, err)
}

// running resolves targets to processes.
func (d *daemon) running(targets []string) ([]*process, []app.Status, error) {
	ids, err := d.supervisor.Resolve(targets)
	if err != nil {
		return nil, nil, err
	}
	refs, list, err := d.supervisor.Running(ids)
	if err != nil {
		return nil, nil, err
	}
	processes := make([]*process, len(refs))
	for i, ref := range refs {
		if processes[i] = d.host.find(keyOf(ref)); processes[i] == nil { // it has just ended
			return nil, nil, fmt.Errorf("%s (%d) has ended: %w", list[i].Name, ref.ID, supervisor.ErrNotRunning)
		}
	}
	return processes, list, nil
}

// sendInput writes to the standard input of processes.
func (d *daemon) sendInput(r *http.Request) (any, error) {
	q, err := api.DecodeSend(r.Body)
	if err != nil {
		return nil, err
	}
	processes, list, err := d.running(q.Targets)
	if err != nil {
		return nil, err
	}
	for _, p := range processes {
		if p.input == nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("send to %s (%d): %v", p.Spec.Name, p.ID, errNoInput)}
		}
	}
	for i, p := range processes {
		if err := p.input.write(q.Data); err != nil {
			code := api.CodeInternal
			switch {
			case errors.Is(err, errInputFull):
				code = api.CodeBusy
			case errors.Is(err, errInputClosed):
				code = api.CodeInvalid
			}
			done := api.ActionReply{Instances: list[:i]}
			return nil, &api.Error{Code: code, Message: fmt.Sprintf("send to %s (%d): %v", p.Spec.Name, p.ID, err), Reply: &done}
		}
	}
	return d.reply(list, nil)
}

// trigger has processes run an action.
func (d *daemon) trigger(r *http.Request) (any, error) {
	q, err := api.DecodeTrigger(r.Body)
	if err != nil {
		return nil, err
	}
	processes, list, err := d.running(q.Targets)
	if err != nil {
		return nil, err
	}
	var able []*process
	var others []string
	for _, p := range processes {
		offered := p.report().Actions()
		if slices.Contains(offered, q.Action) {
			able = append(able, p)
		}
		for _, name := range offered {
			if !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	if len(able) == 0 {
		return nil, noAction(q, list, others)
	}
	for _, p := range able {
		d.commanded(r, "trigger "+q.Action, []int{p.ID})
	}
	ctx, cancel := context.WithTimeout(r.Context(), q.Timeout())
	defer cancel()
	reply := api.TriggerReply{Replies: make([]api.ActionReturn, len(able))}
	var calls sync.WaitGroup
	for i, p := range able {
		calls.Go(func() { reply.Replies[i] = p.run(ctx, q) })
	}
	calls.Wait()
	return reply, nil
}

// noAction says that nobody has an action, and which there are.
func noAction(q api.TriggerRequest, list []app.Status, others []string) error {
	text := fmt.Sprintf("%s has no action %q; ", list[0].Name, q.Action)
	if len(list) > 1 {
		text = fmt.Sprintf("none of %d instances has an action %q; ", len(list), q.Action)
	}
	if len(others) == 0 {
		text += "an app offers some by @pm2/io's io.action(name, function)"
	} else {
		text += "there are: " + strings.Join(others, ", ")
	}
	return &api.Error{Code: api.CodeNotFound, Message: text}
}

// run has the process run an action and waits for its reply.
func (p *process) run(ctx context.Context, q api.TriggerRequest) api.ActionReturn {
	answer := api.ActionReturn{ID: p.ID, Name: p.Spec.Name, Namespace: p.Spec.Namespace}
	reply, drop := p.reports.call(q.Action)
	defer drop()
	worker := p.worker.Load()
	if worker == nil {
		answer.Error = errNoCall.Error()
		return answer
	}
	if err := worker.Send(axm.Call(q.Action, q.Params)); err != nil {
		answer.Error = err.Error()
		return answer
	}
	select {
	case r := <-reply:
		answer.Return = r.Return
	case <-p.ended:
		answer.Error = errEnded.Error()
	case <-ctx.Done():
		answer.Error = fmt.Sprintf("no reply within %s", q.Timeout())
	}
	return answer
}

// reopen makes log files anew that were moved away.
func (d *daemon) reopen(*http.Request) (any, error) {
	n, err := d.host.pump.Reopen()
	if err != nil {
		return nil, fmt.Errorf("reopen logs: %w", err)
	}
	d.log.Info("logs reopened", "files", n)
	return api.ReopenReply{Files: n}, nil
}

// reopenOnSignal reopens the log files at each SIGUSR2, as PM2's daemon does.
func (d *daemon) reopenOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	defer signal.Stop(signals)
	for {
		select {
		case <-d.ending.Done():
			return
		case <-signals:
			if _, err := d.reopen(nil); err != nil {
				d.log.Error("reopen logs", "error", err)
			}
		}
	}
}
