package hooks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/app"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if list, err := Load(path); err != nil || list != nil {
		t.Errorf("without a file: %v, %v", list, err)
	}
	want := []app.Hook{
		{On: []app.HookWord{app.OnCrash, app.OnHang}, Exec: []string{"mail", "a b"}},
		{On: []app.HookWord{app.OnAll}, Webhook: "https://x/y?z", Retries: -1, Timeout: 5e9},
	}
	if err := os.WriteFile(path, Encode(want), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for content, want := range map[string]string{
		"": "unexpected end", `{"hooks":[{"on":["nope"],"exec":["x"]}]}`: `hook 1: on "nope" is none of`,
		`{"hooks":[{"on":["crash"]}]}`:                                                                      "neither exec nor webhook",
		`{"hooks":[{"on":["crash"],"webhook":"ftp://secret@x"}]}`:                                           "not an http or https URL",
		`{"hooks":[{"on":["crash"],"webhook":"http://x","exec":["y"]}]}`:                                    "two hooks",
		`{"hooks":[{"on":["crash"],"exec":["y"],"timeout":"2h"}]}`:                                          "timeout 2h0m0s is not",
		`{"hooks":[{"on":["crash"],"webhook":"http://x","retries":100}]}`:                                   "retries 100 is more",
		`{"hooks":[{"on":[],"exec":["y"]}]}`:                                                                "on is missing",
		`{"hooks":[` + strings.Repeat(`{"on":["all"],"exec":["y"]},`, 40) + `{"on":["all"],"exec":["y"]}]}`: "41 hooks are more than 32",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, %v; want %q", content, list, err, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"hooks":[{"on":["crash"],"webhook":"http://x","timeout":5}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := decode(text)
		if err != nil {
			return
		}
		again, err := decode(Encode(list))
		if err != nil || !cmp.Equal(list, again) {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}
