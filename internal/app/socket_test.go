package app

import (
	"strings"
	"testing"
)

func TestParseSocket(t *testing.T) {
	for text, want := range map[string]Socket{
		"8080":                          {Network: "tcp", Port: 8080},
		":8080":                         {Network: "tcp", Port: 8080},
		"*:8080":                        {Network: "tcp", Port: 8080},
		"0":                             {Network: "tcp"},
		"127.0.0.1:8080":                {Network: "tcp", Host: "127.0.0.1", Port: 8080},
		"0.0.0.0:1":                     {Network: "tcp", Host: "0.0.0.0", Port: 1},
		"[::1]:8080":                    {Network: "tcp", Host: "::1", Port: 8080},
		"[::]:8080":                     {Network: "tcp", Host: "::", Port: 8080},
		"[0:0::0:1]:080":                {Network: "tcp", Host: "::1", Port: 80},
		"[::ffff:10.0.0.1]:80":          {Network: "tcp", Host: "10.0.0.1", Port: 80},
		"[fe80::1%eth0]:80":             {Network: "tcp", Host: "fe80::1%eth0", Port: 80},
		"web=8080":                      {Name: "web", Network: "tcp", Port: 8080},
		"http:=8080":                    {}, // a colon cannot be in a name
		"/run/x.sock":                   {Network: "unix", Path: "/run/x.sock"},
		"unix:/run//x.sock":             {Network: "unix", Path: "/run/x.sock"},
		"unix:@x":                       {Network: "unix", Path: "@x"},
		"/run/a=b.sock":                 {Network: "unix", Path: "/run/a=b.sock"},
		"web=/run/a=b.sock":             {Name: "web", Network: "unix", Path: "/run/a=b.sock"},
		"@abstract":                     {Network: "unix", Path: "@abstract"},
		"@a/b":                          {Network: "unix", Path: "@a/b"},
		"web=@abstract":                 {Name: "web", Network: "unix", Path: "@abstract"},
		strings.Repeat("n", 255) + "=1": {Name: strings.Repeat("n", 255), Network: "tcp", Port: 1},
	} {
		got, err := ParseSocket(text)
		if want == (Socket{}) {
			if err == nil {
				t.Errorf("ParseSocket(%q) = %+v, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("ParseSocket(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseSocketSaysWhatIsWrong(t *testing.T) {
	for text, says := range map[string]string{
		"":                              "empty",
		"web=":                          "empty",
		"=80":                           "name",
		"wéb=80":                        "ASCII",
		"a b=80":                        "ASCII",
		strings.Repeat("n", 256) + "=1": "255",
		"web":                           "want a port",
		"-1":                            "want a port",
		"65536":                         "port",
		"127.0.0.1:":                    "port",
		"127.0.0.1:http":                "port",
		"127.0.0.1:+80":                 "port",
		"localhost:80":                  "127.0.0.1:80",
		"1.2.3:80":                      "not an IP address",
		"::1:80":                        "brackets",
		"[127.0.0.1]:80":                "brackets",
		"[::1:80":                       "brackets",
		"[]:80":                         "brackets",
		"[fe80::1%a b]:80":              "zone",
		"./x.sock":                      "not absolute",
		"unix:x.sock":                   "not absolute",
		"unix:":                         "empty",
		"@":                             "empty",
		"/run/":                         "folder",
		"/run/a\x00b":                   "unprintable",
		"/run/\xff":                     "unprintable",
		"/" + strings.Repeat("x", 107):  "107",
	} {
		got, err := ParseSocket(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseSocket(%q) = %+v, %v, want one line that says %q", text, got, err, says)
		}
	}
}

func TestSocketsBelowAFolder(t *testing.T) {
	for text, want := range map[string]string{
		"./x.sock": "/srv/x.sock", "a=run/x.sock": "a=/srv/run/x.sock", "unix:../x": "/x", "/run/x": "/run/x", ":80": "*:80", "@x": "@x",
	} {
		if got, err := ParseSocketIn("/srv", text); err != nil || got.String() != want {
			t.Errorf("ParseSocketIn(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
}

func FuzzSocket(f *testing.F) {
	for _, seed := range []string{"8080", "*:8080", "a=[::1]:80", "[fe80::1%eth0]:1", "unix:/run/x", "b=@x", "/a=b/../c", "127.0.0.1:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSocket(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: the error has several lines: %v", text, err)
			}
			return
		}
		if again, err := ParseSocket(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, and %+v, %v after %q", text, s, again, err, s)
		}
		if (s.Network == "unix") != (s.Path != "") || s.Network == "unix" && (s.Host != "" || s.Port != 0) {
			t.Errorf("%q is %+v, neither the one nor the other", text, s)
		}
	})
}
