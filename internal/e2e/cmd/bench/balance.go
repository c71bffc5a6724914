package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"paceline/internal/e2e/load"
)

const (
	spreadCopies    = 4
	spreadRate      = 250 // requests per second
	spreadRequests  = 1000
	spreadAddresses = 100 // of clients
	spreadVisits    = 5   // of each address
)

func measureBalance(ctx context.Context, b *bench) error {
	var list []study
	for _, s := range []server{b.golang("go"), b.node("server.js")} {
		for _, balance := range []string{"shared", "round-robin"} {
			name := fmt.Sprintf("%s, pace %s", s.name, balance)
			list = append(list, study{name: name, measure: func(ctx context.Context) error {
				return b.settled(ctx, s, balance, func(a *app) error {
					return b.spread(ctx, name, a.port.Addr(), balance == "round-robin")
				})
			}})
		}
		name := s.name + ", pace ip-hash"
		list = append(list, study{name: name, measure: func(ctx context.Context) error {
			return b.settled(ctx, s, "ip-hash", func(a *app) error {
				return b.sticky(ctx, name, a.port.Addr())
			})
		}})
	}
	list = append(list, study{name: "go, plain SO_REUSEPORT", measure: func(ctx context.Context) error {
		return b.peer(ctx, b.goSharers(spreadCopies), func(ctx context.Context, addr string) error {
			return b.spread(ctx, "go, plain SO_REUSEPORT", addr, false)
		})
	}})
	return b.studies(ctx, list)
}

// settled runs four copies, and makes some requests in peace: the first ones, which
// come all at once to programs that have just begun, can make a copy look stuck, and
// it takes a connection and a second until it is trusted again.
func (b *bench) settled(ctx context.Context, s server, balance string, measure func(*app) error) error {
	return b.with(ctx, s, spreadCopies, []string{"--balance", balance}, func(a *app) error {
		r := load.Run(ctx, load.Config{Addr: a.port.Addr(), Rate: 50, Requests: 150})
		if r.Failed > 0 || ctx.Err() != nil {
			return errors.Join(ctx.Err(), errors.New(r.String()))
		}
		return measure(a)
	})
}

// goSharers runs the static Go server with its own SO_REUSEPORT.
func (b *bench) goSharers(n int) func(context.Context, *crew) (string, error) {
	return sharers(n, nil, func(*crew) []string { return []string{b.exe, helperWord, "web", "-reuseport"} })
}

// spread counts how many connections each copy got.
func (b *bench) spread(ctx context.Context, name, addr string, even bool) error {
	for _, c := range []struct {
		how string
		load.Config
	}{
		{fmt.Sprintf("%d/s", spreadRate), load.Config{Rate: spreadRate}},
		{"16 clients", load.Config{Clients: 16}},
	} {
		c.Addr, c.Requests = addr, spreadRequests
		r := load.Run(ctx, c.Config)
		if r.Failed > 0 || ctx.Err() != nil {
			return errors.Join(ctx.Err(), errors.New(r.String()))
		}
		counts := slices.Sorted(maps.Values(r.Bodies))
		what := fmt.Sprintf("%s, %d connections, %s: %v", name, spreadRequests, c.how, counts)
		worst := uneven(counts, spreadCopies)
		if even {
			b.table.atMost(what, worst, 1.02, "")
		} else {
			b.table.info(what, figure(worst))
		}
	}
	return nil
}

// uneven is the largest share, where 1 is what each would have.
func uneven(counts []int, copies int) float64 {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(slices.Max(counts)) * float64(copies) / float64(sum)
}

// sticky has many addresses come several times, in turn, and looks where each got.
func (b *bench) sticky(ctx context.Context, name, addr string) error {
	reached := make([]map[string]int, spreadAddresses)
	for range spreadVisits {
		for n := range reached {
			body, err := visit(ctx, addr, net.IPv4(127, 0, 0, byte(2+n)))
			if err != nil {
				return err
			}
			if reached[n] == nil {
				reached[n] = map[string]int{}
			}
			reached[n][body]++
		}
	}
	moved, shares := 0, map[string]int{}
	for _, copies := range reached {
		if len(copies) > 1 {
			moved++
		}
		for one := range copies {
			shares[one]++
		}
	}
	b.table.row(fmt.Sprintf("%s, addresses that reached more than one copy in %d visits", name, spreadVisits),
		fmt.Sprintf("%d of %d", moved, spreadAddresses), "0", moved == 0)
	counts := slices.Sorted(maps.Values(shares))
	b.table.info(fmt.Sprintf("  addresses of each copy: %v", counts), figure(uneven(counts, spreadCopies)))
	return nil
}

// visit makes one request from an address of ours.
func visit(ctx context.Context, addr string, from net.IP) (string, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 5 * time.Second}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return strings.TrimSpace(string(body)), err
}
