package ecosystem

import (
	"fmt"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// keysOf walks the members of an object; each key has to be one of known.
func keysOf(v value, known map[string]func(value) error) error {
	if v.kind != object {
		return wrongKind("an object", v)
	}
	for _, m := range v.members {
		read := known[snake(m.key)]
		if read == nil {
			var names []string
			for name := range known {
				names = append(names, name)
			}
			if near := Nearest(snake(m.key), names); near != "" {
				return fmt.Errorf("%s is not known; did you mean %s?", m.key, near)
			}
			return fmt.Errorf("%s is not known", m.key)
		}
		if m.value.kind == null {
			continue
		}
		if err := read(m.value); err != nil {
			return fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return nil
}

// limitsOf reads {memory, cpu, pids}.
func limitsOf(d *draft, v value) error {
	into := func(s *string) func(value) error {
		return func(v value) error {
			if v.kind != number && v.kind != text {
				return wrongKind("a number or a text", v)
			}
			*s = v.text
			return nil
		}
	}
	return keysOf(v, map[string]func(value) error{
		"memory": into(&d.Limits.Memory), "cpu": into(&d.Limits.CPU), "pids": into(&d.Limits.Pids),
	})
}

// health reads the three checks, or the one that is the readiness check.
func health(d *draft, v value) error {
	if v.kind != object {
		return wrongKind("an object", v)
	}
	h := &app.Health{}
	named := false
	for _, word := range []string{"startup", "readiness", "liveness"} {
		_, has := v.get(word)
		named = named || has
	}
	if !named {
		c, err := healthCheck(v)
		h.Readiness = c
		d.Health = h
		return err
	}
	into := func(c **app.HealthCheck) func(value) error {
		return func(v value) (err error) {
			*c, err = healthCheck(v)
			return err
		}
	}
	d.Health = h
	return keysOf(v, map[string]func(value) error{
		"startup": into(&h.Startup), "readiness": into(&h.Readiness), "liveness": into(&h.Liveness),
	})
}

func healthCheck(v value) (*app.HealthCheck, error) {
	c := app.HealthDefaults()
	duration := func(into *app.Duration) func(value) error {
		return func(v value) error {
			if v.kind != number && v.kind != text {
				return wrongKind("a duration", v)
			}
			d, err := app.ParseDuration(v.text)
			*into = d
			return err
		}
	}
	textInto := func(s *string) func(value) error {
		return func(v value) (err error) { *s, err = textOf(v); return err }
	}
	err := keysOf(v, map[string]func(value) error{
		"http": textInto(&c.HTTP),
		"tcp": func(v value) error {
			c.TCP = v.text
			if v.kind == number || v.kind == text && strings.Trim(v.text, "0123456789") == "" {
				c.TCP = "127.0.0.1:" + v.text
			}
			if v.kind != number && v.kind != text {
				return wrongKind("an address", v)
			}
			return nil
		},
		"exec": func(v value) error {
			if v.kind == text {
				words, shell, err := splitWords(v.text)
				if c.Exec = texts(words); shell {
					c.Exec = []string{"/bin/sh", "-c", v.text}
				}
				return err
			}
			words, err := wordsOf(v, whole)
			c.Exec = words
			return err
		},
		"interval": duration(&c.Interval), "timeout": duration(&c.Timeout), "delay": duration(&c.Delay),
		"retries": func(v value) error {
			n, err := strconv.Atoi(v.text)
			if err != nil {
				return wrongKind("a number", v)
			}
			c.Retries = n
			return nil
		},
	})
	return &c, err
}
