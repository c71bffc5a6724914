package app

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Hook is something that is done when something happens to an app: a command, or a
// request to a URL.
type Hook struct {
	On      []HookWord `json:"on"`                // at least one
	Exec    []string   `json:"exec,omitempty"`    // argv; or
	Webhook string     `json:"webhook,omitempty"` // an http or https URL, which gets a POST
	// Timeout is how long the command may run, or one request may take. Zero means
	// 30 s for a command and 10 s for a request.
	Timeout Duration `json:"timeout,omitempty"`
	// Retries is how often a request that fails is repeated, after 1, 4, 16, 64 and
	// then each 64 s. Zero means 4; negative means never. At most 20.
	Retries int `json:"retries,omitempty"`
}

// HookWord names what a hook is for.
type HookWord string

// The words of hooks.
const (
	OnCrash        HookWord = "crash"         // a process ended, and nobody had asked for it
	OnErrored      HookWord = "errored"       // given up after too many fast failures
	OnReloadFailed HookWord = "reload_failed" // the new processes did not come up
	OnMemory       HookWord = "memory"        // above max_memory_restart, or ended by the kernel for want of memory
	OnHang         HookWord = "hang"          // runs, but does not answer
	OnStart        HookWord = "start"         // a process was started
	OnRestart      HookWord = "restart"       // a new process follows an old one
	OnReload       HookWord = "reload"        // replaced by a successor
	OnStop         HookWord = "stop"          // stopped, or done
	OnDelete       HookWord = "delete"        // forgotten by command
	OnWarning      HookWord = "warning"       // something the user should know
	OnConfig       HookWord = "config"        // the configuration has changed
	OnAll          HookWord = "all"           // each of these
)

// HookWords lists all of them.
func HookWords() []HookWord {
	return []HookWord{
		OnCrash, OnErrored, OnReloadFailed, OnMemory, OnHang, OnStart, OnRestart, OnReload, OnStop, OnDelete,
		OnWarning, OnConfig, OnAll,
	}
}

// MaxHooks bounds the hooks of one app.
const MaxHooks = 32

// The bounds of Hook.Timeout and Hook.Retries.
const (
	maxHookTimeout = Duration(time.Hour)
	maxHookRetries = 20
)

// HookWords returns what hooks an event is for: none, one, or two.
func (e *Event) HookWords() []HookWord {
	switch e.Type {
	case EventExit:
		if e.Exit == nil || e.Exit.Wanted || e.Exit.Code == 0 && e.Exit.Signal == "" && e.Exit.Error == "" {
			return nil
		}
		if e.Exit.OOM {
			return []HookWord{OnCrash, OnMemory}
		}
		return []HookWord{OnCrash}
	case EventOverlimit:
		return []HookWord{OnErrored}
	case EventReloadFailed:
		return []HookWord{OnReloadFailed}
	case EventMemory, EventHang, EventStart, EventRestart, EventReload, EventStop, EventDelete, EventWarning, EventConfig:
		return []HookWord{HookWord(e.Type)} // the words are the same
	}
	return nil
}

// Wants returns the first word for which the hook is to act on an event; "" if it is not.
func (h *Hook) Wants(e *Event) HookWord {
	for _, word := range e.HookWords() {
		if slices.Contains(h.On, word) || slices.Contains(h.On, OnAll) {
			return word
		}
	}
	return ""
}

// Target says what the hook does, without what of a URL may be secret.
func (h *Hook) Target() string {
	if h.Webhook == "" {
		return strings.Join(h.Exec, " ")
	}
	u, err := url.Parse(h.Webhook)
	if err != nil {
		return "a webhook"
	}
	return u.Scheme + "://" + u.Host
}

// Validate reports the first thing that is wrong with the hook.
func (h *Hook) Validate() error {
	if len(h.On) == 0 {
		return errors.New("on is missing: when it is to act, such as crash or errored")
	}
	for _, word := range h.On {
		if !slices.Contains(HookWords(), word) {
			return fmt.Errorf("on %q is none of %s", word, joined(HookWords()))
		}
	}
	switch {
	case h.Webhook == "" && len(h.Exec) == 0:
		return errors.New("neither exec nor webhook is given")
	case h.Webhook != "" && len(h.Exec) > 0:
		return errors.New("exec and webhook are two hooks")
	case h.Timeout < 0 || h.Timeout > maxHookTimeout:
		return fmt.Errorf("timeout %s is not between 0 and %s", h.Timeout, maxHookTimeout)
	case h.Retries > maxHookRetries:
		return fmt.Errorf("retries %d is more than %d", h.Retries, maxHookRetries)
	case len(h.Exec) > 0 && h.Exec[0] == "":
		return errors.New("exec names no command")
	}
	for _, arg := range h.Exec {
		if strings.ContainsRune(arg, 0) {
			return errors.New("exec holds a NUL byte")
		}
	}
	if h.Webhook != "" {
		u, err := url.Parse(h.Webhook)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("webhook is not an http or https URL") // which may hold a secret
		}
	}
	return nil
}

func validateHooks(list []Hook) error {
	if len(list) > MaxHooks {
		return fmt.Errorf("hooks: %d are more than %d", len(list), MaxHooks)
	}
	for i := range list {
		if err := list[i].Validate(); err != nil {
			return fmt.Errorf("hooks: hook %d: %w", i+1, err)
		}
	}
	return nil
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}
