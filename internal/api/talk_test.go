package api

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeTalk(t *testing.T) {
	params := "p q"
	signal := SignalRequest{Targets: []string{"api"}, Signal: "usr2"}
	if got, err := DecodeSignal(strings.NewReader(body(t, signal))); err != nil || cmp.Diff(signal, got) != "" {
		t.Errorf("DecodeSignal = %+v, %v", got, err)
	}
	send := SendRequest{Targets: []string{"0"}, Data: []byte("a\xff\n")}
	if got, err := DecodeSend(strings.NewReader(body(t, send))); err != nil || cmp.Diff(send, got) != "" {
		t.Errorf("DecodeSend = %+v, %v", got, err)
	}
	trigger := TriggerRequest{Targets: []string{"api"}, Action: "do it", Params: &params, TimeoutMS: 1500}
	got, err := DecodeTrigger(strings.NewReader(body(t, trigger)))
	if err != nil || cmp.Diff(trigger, got) != "" {
		t.Errorf("DecodeTrigger = %+v, %v", got, err)
	}
	if got.Timeout() != 1500*time.Millisecond || (TriggerRequest{}).Timeout() != TriggerTimeout {
		t.Errorf("timeouts %v and %v", got.Timeout(), (TriggerRequest{}).Timeout())
	}
}

func TestDecodeTalkRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxParams+1)
	one := []string{"api"}
	for _, c := range []struct {
		name    string
		request any
		decode  func(io.Reader) error
		mention string
	}{
		{"no target", SignalRequest{Signal: "INT"}, asSignal, "no target"},
		{"signal", SignalRequest{Targets: one, Signal: "SIGNOPE"}, asSignal, "SIGNOPE"},
		{"nothing to send", SendRequest{Targets: one}, asSend, "0 bytes"},
		{"too much to send", SendRequest{Targets: one, Data: []byte(long)}, asSend, "65537"},
		{"send nowhere", SendRequest{Data: []byte("x")}, asSend, "no target"},
		{"no action", TriggerRequest{Targets: one}, asTrigger, "0 bytes"},
		{"unprintable action", TriggerRequest{Targets: one, Action: "a\nb"}, asTrigger, "unprintable"},
		{"long parameters", TriggerRequest{Targets: one, Action: "a", Params: &long}, asTrigger, "parameters"},
		{"timeout", TriggerRequest{Targets: one, Action: "a", TimeoutMS: -1}, asTrigger, "timeout_ms"},
		{"target", TriggerRequest{Targets: []string{""}, Action: "a"}, asTrigger, "empty"},
	} {
		t.Run(c.name, func(t *testing.T) { wantInvalid(t, c.decode(strings.NewReader(body(t, c.request))), c.mention) })
	}
}

func asSignal(r io.Reader) error  { _, err := DecodeSignal(r); return err }
func asSend(r io.Reader) error    { _, err := DecodeSend(r); return err }
func asTrigger(r io.Reader) error { _, err := DecodeTrigger(r); return err }
