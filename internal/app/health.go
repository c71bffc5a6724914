package app

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Health are an instance's checks, each with a result of its own. A nil one is
// not made.
type Health struct {
	// Startup has to pass once before the instance is ready; until then the other
	// two are not made. When it has failed Retries times in a row the instance has
	// failed to start.
	Startup *HealthCheck `json:"startup,omitempty"`
	// Readiness says whether the instance should get requests. One that fails it
	// runs on and is shown as not ready.
	Readiness *HealthCheck `json:"readiness,omitempty"`
	// Liveness says whether the instance still works. One that fails it is replaced.
	Liveness *HealthCheck `json:"liveness,omitempty"`
}

// HealthCheck is one way to ask an instance how it is. Exactly one of HTTP, TCP and
// Exec is set.
type HealthCheck struct {
	// HTTP is a URL that answers with a status from 200 to 399 within Timeout.
	// "http://127.0.0.1:3000/health".
	HTTP string `json:"http,omitempty"`
	// TCP is an address that takes a connection: "127.0.0.1:3000".
	TCP string `json:"tcp,omitempty"`
	// Exec is a program and its arguments that ends with 0. It runs in the app's
	// Cwd with the instance's environment.
	Exec []string `json:"exec,omitempty"`

	Interval Duration `json:"interval"`        // from one check to the next; 10 s by default
	Timeout  Duration `json:"timeout"`         // 2 s by default
	Delay    Duration `json:"delay,omitempty"` // before the first check
	Retries  int      `json:"retries"`         // failures in a row that count as one; 3 by default
}

// HealthDefaults returns a HealthCheck with every default that is not its zero value.
func HealthDefaults() HealthCheck {
	return HealthCheck{Interval: Duration(10 * time.Second), Timeout: Duration(2 * time.Second), Retries: 3}
}

// Checks lists the checks that are made, by name.
func (h *Health) Checks() map[string]*HealthCheck {
	list := map[string]*HealthCheck{}
	if h == nil {
		return list
	}
	for name, c := range map[string]*HealthCheck{"startup": h.Startup, "readiness": h.Readiness, "liveness": h.Liveness} {
		if c != nil {
			list[name] = c
		}
	}
	return list
}

// Patience is how long the check may take to pass or fail for the first time.
func (c *HealthCheck) Patience() time.Duration {
	return time.Duration(c.Delay) + time.Duration(c.Retries)*(time.Duration(c.Interval)+time.Duration(c.Timeout))
}

// minInterval keeps a typing error from loading the machine.
const minInterval = 100 * time.Millisecond

func (h *Health) validate() error {
	for name, c := range h.Checks() {
		if err := c.validate(); err != nil {
			return fmt.Errorf("health.%s: %w", name, err)
		}
	}
	return nil
}

func (c *HealthCheck) validate() error {
	ways := 0
	if c.HTTP != "" {
		ways++
		u, err := url.Parse(c.HTTP)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("http %q is not a URL such as http://127.0.0.1:3000/health", c.HTTP)
		}
	}
	if c.TCP != "" {
		ways++
		if _, port, ok := strings.Cut(c.TCP, ":"); !ok || port == "" {
			return fmt.Errorf("tcp %q is not an address such as 127.0.0.1:3000", c.TCP)
		}
	}
	if len(c.Exec) > 0 {
		ways++
	}
	switch {
	case ways != 1:
		return errors.New("name one of http, tcp and exec")
	case time.Duration(c.Interval) < minInterval:
		return fmt.Errorf("interval %s is below %s", c.Interval, minInterval)
	case c.Timeout <= 0:
		return fmt.Errorf("timeout %s is not above zero", c.Timeout)
	case c.Delay < 0:
		return fmt.Errorf("delay %s is negative", c.Delay)
	case c.Retries < 1:
		return fmt.Errorf("retries %d is below 1", c.Retries)
	}
	return nil
}
