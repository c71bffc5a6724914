package ready

import (
	"io"
	"os"
	"strconv"
	"testing"
)

func TestSay(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	say := func(descriptor string) error {
		return Say(func(name string) string {
			if name != channel {
				t.Errorf("reads %s", name)
			}
			return descriptor
		})
	}
	if err := say(strconv.Itoa(int(w.Fd()))); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "\"ready\"\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := say(""); err != nil {
		t.Errorf("nobody to say it to: %v", err)
	}
	for _, bad := range []string{"x", "1", "99999"} {
		if err := say(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
