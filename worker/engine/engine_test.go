package engine

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"paceline/worker"
)

type inJSON struct{}

func (inJSON) Encode(v any) ([]byte, error) { return json.Marshal(v) }

func (inJSON) Decode(b []byte) (v any, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

func TestMessagesThatDoNotFitAreEvents(t *testing.T) {
	w, err := Start(func(ctx context.Context, g *Guest) error {
		for _, payload := range []string{"{", `"text"`, "5"} {
			if err := g.Send(ctx, []byte(payload)); err != nil {
				return err
			}
		}
		return nil
	}, Options{Codec: inJSON{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wrong *worker.MessageError
	if _, err := w.Receive(t.Context()); !errors.As(err, &wrong) {
		t.Errorf("a message that cannot be read: %v", err)
	}
	if _, err := worker.Receive[int](t.Context(), w); !errors.As(err, &wrong) || wrong.Value != "text" {
		t.Errorf("a text as a number: %v", err)
	}
	if n, err := worker.Receive[int](t.Context(), w); err != nil || n != 5 {
		t.Errorf("got %d, %v; want 5", n, err)
	}

	w, err = Start(func(ctx context.Context, g *Guest) error {
		if err := g.Send(ctx, []byte("{")); err != nil {
			return err
		}
		_, err := g.Receive(ctx) // that it was seen
		return err
	}, Options{Codec: inJSON{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.Receive[string](t.Context(), w); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
	e, err := w.Once(t.Context(), worker.EventMessageError)
	if err != nil || !errors.Is(e.Err, wrong) {
		t.Errorf("event %v, %v; want %v", e.Err, err, wrong)
	}
	if err := w.Post("seen"); err != nil {
		t.Error(err)
	}
	if err := w.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
