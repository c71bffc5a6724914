package daemon

import (
	"encoding/json"
	"testing"

	"paceline/internal/axm"
)

// Replies carry the action's name alone, so that they go to the callers in turn.
func TestRepliesGoToTheCallersInTurn(t *testing.T) {
	var r reports
	first, dropFirst := r.call("a")
	second, dropSecond := r.call("a")
	gone, dropGone := r.call("a")
	other, dropOther := r.call("b")
	dropGone()
	for i, value := range []string{"1", "2", "3"} {
		r.answer(axm.Returned{Action: "a", Return: json.RawMessage(value)})
		if i == 0 {
			dropFirst() // a caller that has its reply drops it, too
		}
	}
	for want, reply := range map[string]<-chan axm.Returned{"1": first, "2": second} {
		select {
		case got := <-reply:
			if string(got.Return) != want {
				t.Errorf("got %s, want %s", got.Return, want)
			}
		default:
			t.Errorf("no reply, want %s", want)
		}
	}
	if len(gone) != 0 || len(other) != 0 {
		t.Error("somebody got another's reply")
	}
	dropSecond()
	dropOther()
	if len(r.calls) != 0 {
		t.Errorf("%d actions are still waited for", len(r.calls))
	}
}
