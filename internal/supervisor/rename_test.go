package supervisor

import (
	"context"
	"errors"
	"slices"
	"testing"

	"paceline/internal/app"
)

func TestRename(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", instances(2)), spec("web"), spec("job", func(s *app.Spec) {
			s.DependsOn = []app.Dependency{{App: "web", Condition: app.Conditions()[0]}}
		}))
		for _, c := range []struct {
			from, to string
			want     error
		}{
			{"nope", "b", ErrNotFound},
			{"api", "web", ErrExists},
			{"api", "a/b", app.ErrInvalid},
			{"web", "www", app.ErrInvalid}, // job depends on it
		} {
			if err := w.Rename(ctx, c.from, c.to); !errors.Is(err, c.want) {
				t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
			}
		}
		if st := w.one(0); st.State != app.Online {
			t.Fatalf("a rename that fails has left %s %s", st.Name, st.State)
		}
		if err := w.Rename(ctx, "api", "b"); err != nil {
			t.Fatal(err)
		}
		got, err := w.Resolve([]string{"b"})
		if err != nil || !slices.Equal(got, []int{0, 1}) {
			t.Errorf("b is %v, %v", got, err)
		}
		if _, err := w.Resolve([]string{"api"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("api: %v, want ErrNotFound", err)
		}
		// At once, though the instances are yet to be told.
		if places := w.Places(nil); places[1].Name != "b" {
			t.Errorf("1 has its place at %s", places[1].Name)
		}
		if st := w.one(1); st.Name != "b" || st.State != app.Stopped {
			t.Errorf("1 is %s %s", st.Name, st.State)
		}
		if _, err := w.Restart(ctx, got); err != nil {
			t.Fatal(err)
		}
		if st := w.one(1); st.Name != "b" || st.State != app.Online {
			t.Errorf("after a restart 1 is %s %s", st.Name, st.State)
		}
	})
}

func TestResolveTakesNamesBeforeIDs(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("7"), spec("1"), spec("web"))
		for target, want := range map[string][]int{"7": {0}, "1": {1}, "2": {2}, "0": {0}} {
			if got, err := w.Resolve([]string{target}); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s is %v, %v, want %v", target, got, err, want)
			}
		}
	})
}
