// Package redact takes out of texts what may be secret: the values of variables whose
// names say so, and passwords in URLs.
package redact

import (
	"slices"
	"strings"
)

// A value shorter than this is no secret that could be told from other words.
const minSecret = 4

// Of returns what takes the secrets of an environment out of a text.
func Of(env map[string]string) func(string) string {
	var values []string
	for name, value := range env {
		if len(value) >= minSecret && Secret(name) {
			values = append(values, value)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, hidden)
	}
	replace := strings.NewReplacer(pairs...)
	return func(text string) string { return withoutPasswords(replace.Replace(text)) }
}

// hidden stands for a secret.
const hidden = "***"

// Secret reports whether a variable's name says that its value is one.
func Secret(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{
		"SECRET", "TOKEN", "PASS", "PWD", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "SALT", "COOKIE", "SESSION", "DSN", "DATABASE_URL", "SIGNATURE",
	}, func(word string) bool { return strings.Contains(name, word) }) && name != "PWD" && name != "OLDPWD"
}

// withoutPasswords makes scheme://user:password@host of a text scheme://user:***@host.
func withoutPasswords(text string) string {
	var out strings.Builder
	for {
		at := strings.Index(text, "://")
		if at < 0 {
			break
		}
		at += len("://")
		out.WriteString(text[:at])
		text = text[at:]
		end := strings.IndexAny(text, "/ \t\"'<>?#")
		if end < 0 {
			end = len(text)
		}
		host := strings.LastIndexByte(text[:end], '@')
		if user := strings.IndexByte(text[:max(host, 0)], ':'); user >= 0 {
			out.WriteString(text[:user] + ":" + hidden)
			text = text[host:]
		}
	}
	out.WriteString(text)
	return out.String()
}
