package supervisor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"paceline/internal/app"
)

func TestApply(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", instances(3)), spec("web"), spec("other"))
		changed := spec("api", instances(2), func(s *app.Spec) { s.Env = map[string]string{"NEW": "1"} })
		list, changes, err := w.Apply(ctx, []app.Spec{changed, spec("job"), spec("web", instances(2))}, ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// 2 of api have left, 5 is the new app's, 6 web's second.
		if got := ids(list); !slices.Equal(got, []int{0, 1, 3, 5, 6}) && !slices.Equal(got, []int{0, 1, 3, 5, 6, 7}) {
			t.Errorf("acted on %v", got)
		}
		var texts []string
		for _, c := range changes {
			texts = append(texts, c.App+": "+c.String())
		}
		if want := []string{"api: instances 3 -> 2", "api: env.NEW added", "web: instances 1 -> 2"}; !slices.Equal(texts, want) {
			t.Errorf("changes %q, want %q", texts, want)
		}
		for id, restarts := range map[int]int{0: 1, 1: 1, 3: 1, 4: 0} {
			if st := w.one(id); st.Restarts != restarts || st.State != app.Online {
				t.Errorf("%s (%d) is %s with %d restarts, want %d", st.Name, id, st.State, st.Restarts, restarts)
			}
		}
		if got := w.host.process(0).Spec.Env["NEW"]; got != "1" {
			t.Errorf("the new process has NEW=%q", got)
		}
	})
}

// TestApplyJob: that its file is read again is no reason for a job to run.
func TestApplyJob(t *testing.T) {
	in(t, runs(program{life: time.Minute}), func(w *world) {
		job := spec("backup", func(s *app.Spec) { s.Job = "0 3 * * *" })
		w.start(job)
		job.Job = "0 4 * * *"
		list, changes, err := w.Apply(context.Background(), []app.Spec{job}, ApplyOptions{})
		if err != nil || len(list) != 1 || len(changes) != 1 {
			t.Errorf("acted on %+v, changes %v, %v", list, changes, err)
		}
		w.is(0, app.Stopped)
		if got := w.Apps()[0].Job; got != "0 4 * * *" {
			t.Errorf("it is due %s", got)
		}
	})
}

func TestApplyReload(t *testing.T) {
	in(t, runs(listens(0, "*:80")), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", cluster(2)))
		next := spec("api", cluster(3), func(s *app.Spec) { s.Env = map[string]string{"V": "2"} })
		if _, _, err := w.Apply(ctx, []app.Spec{next}, ApplyOptions{Reload: true}); err != nil {
			t.Fatal(err)
		}
		if n := w.happened(app.EventReload); n != 2 {
			t.Errorf("%d instances were reloaded, want 2", n)
		}
		if n := len(w.List()); n != 3 {
			t.Errorf("%d instances, want 3", n)
		}
		_, _, err := w.Apply(ctx, []app.Spec{spec("api", func(s *app.Spec) { s.Mode = app.Fork })}, ApplyOptions{Reload: true})
		if !errors.Is(err, app.ErrInvalid) {
			t.Errorf("a reload into another mode: %v", err)
		}
		if _, _, err = w.Apply(ctx, []app.Spec{spec("api", func(s *app.Spec) { s.Mode = app.Fork })}, ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second) // the second and third leave
		if st := w.one(0); st.Mode != app.Fork || len(w.List()) != 1 {
			t.Errorf("after a restart into another mode: %+v", w.List())
		}
	})
}
