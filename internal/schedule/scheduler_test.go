package schedule

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes calls of Fire, as "key 15:04:05" with the time that is meant.
type recorder struct {
	calls chan string
}

func newRecorder() *recorder { return &recorder{calls: make(chan string, 10_000)} }

func (r *recorder) fire(key string, at time.Time) {
	r.calls <- key + " " + at.Format(time.TimeOnly)
}

func (r *recorder) taken() []string {
	var list []string
	for len(r.calls) > 0 {
		list = append(list, <-r.calls)
	}
	slices.Sort(list)
	return list
}

// In a bubble of synctest it is midnight of 1 January 2000, UTC.
func TestScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		s := New(Options{Fire: r.fire, Location: time.UTC})
		defer s.Close()
		if err := s.Sync(map[string]string{"a": "*/20 * * * *", "b": "30 15 1 * * *"}); err != nil {
			t.Fatal(err)
		}
		if at, ok := s.Next("b"); !ok || !at.Equal(time.Date(2000, 1, 1, 1, 15, 30, 0, time.UTC)) {
			t.Errorf("next of b: %v %v", at, ok)
		}
		if _, ok := s.Next("none"); ok {
			t.Error("a key that is not there has a next time")
		}
		time.Sleep(2*time.Hour - time.Second)
		want := []string{"a 00:20:00", "a 00:40:00", "a 01:00:00", "a 01:20:00", "a 01:40:00", "b 01:15:30"}
		if got := r.taken(); !slices.Equal(got, want) {
			t.Errorf("fired: %v, want %v", got, want)
		}
		if err := s.Sync(map[string]string{"a": "0 12 * * *"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if got, want := r.taken(), []string{"a 12:00:00"}; !slices.Equal(got, want) {
			t.Errorf("fired: %v, want %v", got, want)
		}
	})
}

func TestFiresOnTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan time.Duration, 100)
		s := New(Options{Location: time.UTC, Fire: func(_ string, at time.Time) { late <- time.Since(at) }})
		if err := s.Sync(map[string]string{"a": "*/7 * * * * *"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		s.Close()
		for len(late) > 0 {
			if d := <-late; d != 0 {
				t.Errorf("late by %v", d)
			}
		}
		time.Sleep(time.Hour)
		if len(late) != 0 {
			t.Error("fired after Close")
		}
	})
}

func TestSyncLeavesOutWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		s := New(Options{Fire: r.fire, Location: time.UTC})
		defer s.Close()
		err := s.Sync(map[string]string{"a": "61 * * * *", "b": "0 * * * *"})
		if err == nil || !strings.HasPrefix(err.Error(), `a: cron pattern "61 * * * *": minute "61"`) {
			t.Errorf("error: %v", err)
		}
		time.Sleep(time.Hour + time.Second)
		if got, want := r.taken(), []string{"b 01:00:00"}; !slices.Equal(got, want) {
			t.Errorf("fired: %v, want %v", got, want)
		}
	})
}

func TestSyncKeepsTheNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		s := New(Options{Fire: r.fire, Location: time.UTC})
		defer s.Close()
		for i := range 120 {
			if err := s.Sync(map[string]string{"a": "0 1 * * *", fmt.Sprint(i): "0 0 1 1 *"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got, want := r.taken(), []string{"a 01:00:00"}; !slices.Equal(got, want) {
			t.Errorf("fired: %v, want %v", got, want)
		}
	})
}

func TestNoOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		var log bytes.Buffer
		s := New(Options{
			Log: slog.New(slog.NewTextHandler(&log, nil)), Location: time.UTC,
			Fire: func(key string, at time.Time) {
				r.fire(key, at)
				if key == "slow" {
					time.Sleep(150 * time.Second)
				}
			},
		})
		defer s.Close()
		if err := s.Sync(map[string]string{"slow": "* * * * *", "b": "*/2 * * * *"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*time.Minute + 40*time.Second)
		want := []string{"b 00:02:00", "b 00:04:00", "b 00:06:00", "slow 00:01:00", "slow 00:04:00", "slow 00:07:00"}
		if got := r.taken(); !slices.Equal(got, want) {
			t.Errorf("fired: %v, want %v", got, want)
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "passed over"); n != 4 {
			t.Errorf("%d times passed over are logged, want 4:\n%s", n, log.String())
		}
	})
}

// The clock cannot be set in a bubble; look is what sees it.
func TestClockJumps(t *testing.T) {
	r := newRecorder()
	s := &Scheduler{fire: r.fire, location: time.UTC, log: slog.New(slog.DiscardHandler), entries: map[string]*entry{}, busy: map[string]bool{}}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	hourly, err := Parse("0 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	s.entries["a"] = &entry{schedule: hourly, next: hourly.Next(day)}
	last := day
	for _, step := range []struct {
		clock string
		fires []string
		next  string
	}{
		{"00:30", nil, "01:00"},
		{"01:00", []string{"a 01:00:00"}, "02:00"},
		{"09:30", []string{"a 02:00:00"}, "10:00"}, // the machine slept
		{"08:45", nil, "10:00"},                    // set back a little: nothing twice
		{"10:01", []string{"a 10:00:00"}, "11:00"},
		{"03:30", nil, "04:00"}, // set right
		{"04:00", []string{"a 04:00:00"}, "05:00"},
	} {
		at, err := time.Parse("15:04", step.clock)
		if err != nil {
			t.Fatal(err)
		}
		now := day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute)
		wait, some := s.look(now, last)
		last = now
		s.running.Wait()
		if got := r.taken(); !slices.Equal(got, step.fires) {
			t.Errorf("at %s fired %v, want %v", step.clock, got, step.fires)
		}
		if got := s.entries["a"].next.Format("15:04"); got != step.next {
			t.Errorf("at %s next is %s, want %s", step.clock, got, step.next)
		}
		if !some || wait <= 0 || wait > lookAgain {
			t.Errorf("at %s waits %v %v", step.clock, wait, some)
		}
	}
}
