package app

import (
	"strings"
	"testing"
)

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"API_TOKEN": true, "db_password": true, "AWS_SECRET_ACCESS_KEY": true, "STRIPE_KEY": true, "SENTRY_DSN": true,
		"PATH": false, "NODE_ENV": false, "PORT": false, "HOME": false, "KEYBOARD": false, "TZ": false,
	} {
		if got := SecretName(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSecretValues(t *testing.T) {
	for value, want := range map[string]bool{
		"postgres://me:hunter2@db.example/app":                true,
		"see redis://:pw@10.0.0.1:6379":                       true,
		"-----BEGIN EC PRIVATE KEY-----\nMHcC":                true,
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.":                true,
		strings.Repeat("a1B2", 8):                             true,
		"https://example.org/a@b:c":                           false,
		"postgres://db.example/app":                           false,
		"/usr/local/bin:/usr/bin:/bin:/usr/games/x11":         false,
		"a sentence of more than thirty-two characters, 2026": false,
		strings.Repeat("abcd", 10):                            false, // no digit
		"production":                                          false,
		"":                                                    false,
	} {
		if got := SecretValue(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
