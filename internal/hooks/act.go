package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// How long an act may take where its hook does not say it.
const (
	execTimeout = 30 * time.Second
	postTimeout = 10 * time.Second
	postRetries = 4
)

// run runs a command. It has the message on its standard input, and the main facts as
// variables; of the app's own variables it has none.
func (r *Runner) run(a *act, body []byte) error {
	limit := time.Duration(a.hook.Timeout)
	if limit == 0 {
		limit = execTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.hook.Exec[0], a.hook.Exec[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = a.hook.Dir, r.environ(a), bytes.NewReader(body)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a child of it may keep the pipe open
	group(cmd)
	r.options.Prepare(cmd, a.hook.User)
	err := cmd.Run()
	said := out.last()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		if said != "" {
			r.options.Log("%s: %s", a.hook.name(), said)
		}
		return nil
	}
	if ctx.Err() != nil && r.ctx.Err() == nil {
		err = fmt.Errorf("ended, as it took longer than %s", limit)
	}
	if said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// environ is the environment of a command.
func (r *Runner) environ(a *act) []string {
	env := []string{
		"PACELINE_HOME=" + r.options.Home, "PACE_ON=" + string(a.word), "PACE_EVENT=" + string(a.event.Type),
		"PACE_APP=" + a.event.Name, "PACE_ID=" + strconv.Itoa(a.event.ID), "PACE_PID=" + strconv.Itoa(a.event.PID),
		"PACE_COUNT=" + strconv.Itoa(a.count), "PACE_DETAIL=" + strings.ReplaceAll(a.event.Detail, "\x00", ""),
	}
	if a.event.Exit != nil {
		env = append(env, "PACE_EXIT_CODE="+strconv.Itoa(a.event.Exit.Code), "PACE_SIGNAL="+a.event.Exit.Signal)
	}
	for _, name := range []string{"PATH", "LANG", "TZ", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if a.hook.User == nil {
		env = append(env, "HOME="+os.Getenv("HOME"))
	}
	return env
}

// client follows no redirect, so that a message goes nowhere but where it was meant
// to; certificates are verified. It keeps no connection: the next message may be days
// away.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: postTimeout,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post sends a message, again and again if that may help.
func (r *Runner) post(a *act, body []byte) error {
	retries := a.hook.Retries
	if retries == 0 {
		retries = postRetries
	}
	for n := 0; ; n++ {
		again, err := r.postOnce(a, body)
		if err == nil || !again || n >= retries || r.ctx.Err() != nil {
			if err != nil && n > 0 {
				return fmt.Errorf("%w, at the last of %d attempts", err, n+1)
			}
			return err
		}
		r.options.Log("%s: %v; it is tried again", a.hook.name(), err)
		pause := r.options.pauses[min(n, len(r.options.pauses)-1)]
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return r.ctx.Err()
		}
	}
}

// answerBytes is how much of an answer is read, so that the server sees it taken.
const answerBytes = 64 << 10

// postOnce sends a message. Again says that it may help to send it once more.
func (r *Runner) postOnce(a *act, body []byte) (again bool, err error) {
	limit := time.Duration(a.hook.Timeout)
	if limit == 0 {
		limit = postTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, a.hook.Webhook, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("it is no URL")
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "paceline-hook")
	answer, err := client.Do(q)
	if err != nil {
		if ctx.Err() != nil && r.ctx.Err() == nil {
			return true, fmt.Errorf("no answer within %s", limit)
		}
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // the URL may hold a secret
		}
		return true, err
	}
	_, readErr := io.CopyN(io.Discard, answer.Body, answerBytes)
	closeErr := answer.Body.Close()
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return false, fmt.Errorf("it redirects (%s), which is not followed: name the final address", answer.Status)
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusRequestTimeout:
		return true, fmt.Errorf("status %s", answer.Status)
	case answer.StatusCode >= 400:
		return false, fmt.Errorf("status %s", answer.Status)
	case readErr != nil && !errors.Is(readErr, io.EOF):
		return false, nil // it has taken the message
	}
	return false, closeErr
}

// tail keeps the end of what a command prints.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 512
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = append([]byte(nil), t.b[len(t.b)-keep:]...)
	}
	return len(p), nil
}

// last is the last line that says something.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(lines[len(lines)-1], "?"))
}
