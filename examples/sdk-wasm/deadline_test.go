package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTheGuestIsEnded(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "it ran longer than its limit of 50ms") {
		t.Errorf("it prints %s", &out)
	}
}
