package ecosystem

import (
	"fmt"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// hooks reads a list of hooks, or one.
func hooks(d *draft, v value) error {
	items := []value{v}
	if v.kind == list {
		items = v.items
	}
	var all []app.Hook
	for i := range items {
		h, err := hook(items[i])
		if err != nil {
			return fmt.Errorf("hook %d: %w", i+1, err)
		}
		all = append(all, h)
	}
	d.Hooks = all
	return nil
}

// hook reads one.
func hook(v value) (h app.Hook, err error) {
	err = keysOf(v, map[string]func(value) error{
		"on": func(v value) error {
			words, err := wordsOf(v, splitQuoted)
			for _, w := range words {
				h.On = append(h.On, app.HookWord(strings.ReplaceAll(snake(w), "-", "_")))
			}
			return err
		},
		"exec": func(v value) (err error) {
			if v.kind != text {
				h.Exec, err = wordsOf(v, whole)
				return err
			}
			h.Exec, err = CommandLine(v.text)
			return err
		},
		"webhook": func(v value) (err error) { h.Webhook, err = textOf(v); return err },
		"timeout": func(v value) (err error) {
			if v.kind != number && v.kind != text {
				return wrongKind("a duration", v)
			}
			h.Timeout, err = app.ParseDuration(v.text)
			return err
		},
		"retries": func(v value) (err error) {
			if h.Retries, err = strconv.Atoi(v.text); err != nil {
				return wrongKind("a number", v)
			}
			if h.Retries == 0 { // in a Spec 0 is the default
				h.Retries = -1
			}
			return nil
		},
	})
	if err != nil {
		return h, err
	}
	return h, h.Validate()
}

// CommandLine takes a command line apart into words; one that needs a shell becomes an
// argument of one.
func CommandLine(line string) ([]string, error) {
	words, shell, err := splitWords(line)
	if shell {
		return []string{"/bin/sh", "-c", line}, err
	}
	return texts(words), err
}

// hookEntries are hooks as an app file has them.
func hookEntries(list []app.Hook) [][]entry {
	var out [][]entry
	for i := range list {
		h := &list[i]
		var on []string
		for _, w := range h.On {
			on = append(on, string(w))
		}
		one := []entry{{"on", on}}
		if h.Webhook != "" {
			one = append(one, entry{"webhook", h.Webhook})
		} else {
			one = append(one, entry{"exec", h.Exec})
		}
		if h.Timeout != 0 {
			one = append(one, entry{"timeout", h.Timeout.String()})
		}
		if h.Retries != 0 {
			one = append(one, entry{"retries", int64(max(h.Retries, 0))})
		}
		out = append(out, one)
	}
	return out
}
