package redact

import "testing"

func TestSecretsAreTakenOut(t *testing.T) {
	clean := Of(map[string]string{
		"API_TOKEN": "abcd1234", "API_TOKEN_2": "abcd1234567", "NODE_ENV": "production", "PASSWORD": "x", "PWD": "/srv/app", "DATABASE_URL": "postgres://a:b@c/d",
	})
	for text, want := range map[string]string{
		"token abcd1234 in production":        "token *** in production",
		"abcd1234567":                         "***",
		"cd /srv/app; x":                      "cd /srv/app; x",
		"to postgres://a:b@c/d":               "to ***",
		"redis://u:p@ss:word@h:1/0 and more":  "redis://u:***@h:1/0 and more",
		"http://h:80/a@b, amqp://:pw@h":       "http://h:80/a@b, amqp://:***@h",
		"://":                                 "://",
		"https://user@host/x, 'mongodb://a:b": "https://user@host/x, 'mongodb://a:b",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("x://a:secret@b", "secret")
	f.Fuzz(func(t *testing.T, text, value string) {
		clean := Of(map[string]string{"TOKEN": value})
		if got := clean(clean(text)); len(got) > 3*len(text)+8 {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
