package daemon

import (
	"slices"
	"strings"
	"testing"

	"paceline/internal/app"
	"paceline/internal/redact"
	"paceline/internal/supervisor"
)

func TestEventsHoldNoSecrets(t *testing.T) {
	key := keyOf(supervisor.Ref{ID: 3, Gen: 7})
	h := &host{processes: map[string]*process{key: {clean: redact.Of(map[string]string{"API_TOKEN": "hunter2"})}}}
	said := app.Exit{Error: "bad token hunter2", Stderr: []string{"login hunter2", "postgres://me:word@db/x"}}
	for _, e := range []app.Event{
		{Type: app.EventExit, ID: 3, Gen: 7, Detail: said.String(), Exit: &said},
		{Type: app.EventHang, ID: 3, Gen: 7, Detail: "it says: login hunter2"},
	} {
		got := h.withoutSecrets(e)
		texts := []string{got.Detail}
		if got.Exit != nil {
			texts = append(append(texts, got.Exit.Error), got.Exit.Stderr...)
		}
		for _, text := range texts {
			if !strings.Contains(text, "***") || strings.Contains(text, "hunter2") || strings.Contains(text, "word") {
				t.Errorf("%s: told as %q", e.Type, text)
			}
		}
	}
	if said.Error != "bad token hunter2" || !slices.Contains(said.Stderr, "login hunter2") {
		t.Errorf("the exit itself was changed: %+v", said)
	}
	// Of a process that never was only what looks like a password is known.
	got := h.withoutSecrets(app.Event{Type: app.EventExit, ID: 9, Detail: "open redis://u:word@h: hunter2"})
	if got.Detail != "open redis://u:***@h: hunter2" {
		t.Errorf("told as %q", got.Detail)
	}
}
