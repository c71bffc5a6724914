package web

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The token is tokenBytes of randomness, in base64 for URLs.
const tokenBytes = 32

// TokenFile is where the token is.
func (o Options) TokenFile() string { return filepath.Join(o.folder(), "token") }

// MakeToken sees to it that there is a token. New says that it has just been made:
// only then is it told. With renew, an older one does not count any more, once the
// dashboard has been started again.
func (o Options) MakeToken(renew bool) (token string, isNew bool, err error) {
	if !renew {
		if _, err := o.readToken(); !errors.Is(err, fs.ErrNotExist) {
			return "", false, err
		}
	}
	if err := os.MkdirAll(o.folder(), 0o700); err != nil {
		return "", false, fmt.Errorf("make a folder for the token: %w", err)
	}
	random := make([]byte, tokenBytes)
	if _, err := rand.Read(random); err != nil {
		return "", false, fmt.Errorf("make a token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(random)
	if err := writePrivate(o.TokenFile(), []byte(token+"\n")); err != nil {
		return "", false, fmt.Errorf("keep the token: %w", err)
	}
	return token, true, nil
}

// readToken returns the token. Errors: fs.ErrNotExist without one; that others may
// read it; that it is too short to be a secret.
func (o Options) readToken() (string, error) {
	f, err := os.Open(o.TokenFile())
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	again := "; `pace web --new-token` makes another"
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the token in %s can be read by others (mode %04o)%s", f.Name(), info.Mode().Perm(), again)
	}
	text := make([]byte, 256)
	n, err := f.Read(text)
	if err != nil && n > 0 {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text[:n]))
	if random, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(random) < tokenBytes {
		return "", fmt.Errorf("%s holds no token%s", f.Name(), again)
	}
	return token, nil
}

// writePrivate puts a file that nobody else may read in the place of another.
func writePrivate(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
