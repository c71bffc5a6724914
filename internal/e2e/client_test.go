package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/client"
	"paceline/internal/e2e/sandbox"
)

// The Go package for others, against a real daemon that is killed in between.
func TestClient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	s, err := sandbox.New(filepath.Join(os.Getenv(binaries), "pace"), environment(t.TempDir())...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	c, err := client.New(s.Home)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Instances(ctx); !errors.Is(err, client.ErrNoDaemon) {
		t.Fatalf("without a daemon: %v", err)
	}
	if _, err := s.Pace(ctx, "ping"); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	spec := client.Defaults()
	spec.Name, spec.Cwd, spec.Exec = "api", dir, filepath.Join(dir, "api.sh")
	if err := os.WriteFile(spec.Exec, []byte("#!/bin/sh\necho hello\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := c.Start(ctx, spec)
	if err != nil || len(list) != 1 || list[0].State != client.Online {
		t.Fatalf("start: %v, %v", list, err)
	}
	if _, err := c.Start(ctx, spec); !client.IsCode(err, client.CodeExists) {
		t.Errorf("start again: %v", err)
	}
	if _, err := c.Instances(ctx, "nosuch"); !client.IsCode(err, client.CodeNotFound) {
		t.Errorf("an unknown target: %v", err)
	}
	apps, err := c.Apps(ctx, "api")
	if err != nil || len(apps) != 1 || apps[0].Spec.Exec != spec.Exec || len(apps[0].Spec.Env) != 0 {
		t.Errorf("apps: %+v, %v", apps, err)
	}
	why, err := c.Why(ctx, "api")
	if err != nil || len(why) != 1 || !why[0].Healthy {
		t.Errorf("why: %+v, %v", why, err)
	}
	found := errors.New("found")
	err = c.Logs(ctx, client.LogsQuery{Targets: []string{"api"}, Lines: 10, Stream: client.Out, Follow: true}, func(l client.LogLine) error {
		if l.Text() == "hello" {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Errorf("logs: %v", err)
	}

	old, err := s.DaemonPID()
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := os.FindProcess(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NextDaemon(ctx, old); err != nil {
		t.Fatal(err)
	}
	for what, act := range map[string]func() ([]client.Status, error){
		"scale":  func() ([]client.Status, error) { return c.Scale(ctx, "api", "+1") },
		"signal": func() ([]client.Status, error) { return c.Signal(ctx, "SIGCONT", "api") },
	} {
		if list, err := act(); err != nil || len(list) == 0 {
			t.Errorf("%s: %v, %v", what, list, err)
		}
	}
	var steps []string
	if _, err := c.Reload(ctx, func(step string) { steps = append(steps, step) }, "api"); err != nil || len(steps) == 0 {
		t.Errorf("reload: %q, %v", steps, err)
	}
	if list, err := c.Restart(ctx, "0"); err != nil || len(list) != 1 {
		t.Errorf("restart: %v, %v", list, err)
	}
	if list, err := c.Stop(ctx, "api"); err != nil || len(list) != 2 || list[1].State != client.Stopped {
		t.Errorf("stop: %v, %v", list, err)
	}
	if list, err := c.Delete(ctx, "all"); err != nil || len(list) != 2 {
		t.Errorf("delete: %v, %v", list, err)
	}

	// All of it is told, in order, and nothing twice.
	var did []string
	last := uint64(0)
	err = c.Events(ctx, client.EventsQuery{Types: []client.EventType{client.EventCommand}, Since: time.Now().Add(-time.Hour)}, func(e client.Event) error {
		if e.Seq <= last {
			t.Errorf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		if !slices.Contains(did, e.Detail) {
			did = append(did, e.Detail)
		}
		return nil
	})
	if err != nil {
		t.Errorf("events: %v", err)
	}
	text := strings.Join(did, ", ")
	for _, want := range []string{"start", "scale to 2", "signal SIGCONT", "reload", "restart", "stop", "delete"} {
		if !slices.Contains(did, want) {
			t.Errorf("%s is not among %s", want, text)
		}
	}
	if v, err := c.Version(ctx); err != nil || v.Home != s.Home {
		t.Errorf("version: %+v, %v", v, err)
	}
}
