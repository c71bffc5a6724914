package app

import "strings"

// SecretName tells whether the value of a variable of this name should not be seen
// in passing.
func SecretName(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{
		"SECRET", "PASSW", "PASSPHRASE", "TOKEN", "APIKEY", "API_KEY", "PRIVATE", "CREDENTIAL", "AUTH", "ACCESS_KEY", "COOKIE", "SESSION",
		"_KEY", "_DSN", "DATABASE_URL", "REDIS_URL", "MONGO", "_PASS", "_PWD",
	} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// SecretValue tells whether a value looks like a secret by itself: a URL with a
// password, a private key, a JSON web token, or a long word of letters and digits
// that no path and no sentence is.
func SecretValue(value string) bool {
	if strings.Contains(value, "PRIVATE KEY-----") || hasPassword(value) {
		return true
	}
	if strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") >= 2 { // {" in base64: a JSON web token
		return true
	}
	return len(value) >= 32 && !strings.HasPrefix(value, "/") &&
		strings.Trim(value, digits+letters+"+/_=-") == "" &&
		strings.ContainsAny(value, digits) && strings.ContainsAny(value, letters)
}

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// hasPassword finds scheme://user:password@host.
func hasPassword(text string) bool {
	for _, rest := range strings.Split(text, "://")[1:] {
		if end := strings.IndexAny(rest, "/ \t\n?#"); end >= 0 {
			rest = rest[:end]
		}
		if at := strings.LastIndexByte(rest, '@'); at > 0 && strings.Contains(rest[:at], ":") {
			return true
		}
	}
	return false
}
