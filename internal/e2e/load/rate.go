package load

import (
	"context"
	"slices"
	"sync"
	"time"
)

// atRate begins each request when it is due. A server that does not answer for a
// while gets the requests of that time nevertheless, as from the users out there;
// a closed loop would ask less just then, and not see it.
func atRate(ctx context.Context, c *Config) Result {
	sum := newResult()
	var mu sync.Mutex // guards sum
	var wg sync.WaitGroup
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range c.Requests {
		due := begun.Add(time.Duration(float64(n) / c.Rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			body, err := single(c, n)
			q := Request{Begun: due, Took: time.Since(due), Err: err}
			mu.Lock()
			sum.count(body, q.Took, err)
			mu.Unlock()
			if c.Each != nil {
				q.Body = string(body)
				c.Each(q)
			}
		})
	}
	wg.Wait()
	sum.Took = time.Since(begun)
	slices.Sort(sum.Latencies)
	return sum
}

// single makes the nth request, on a connection of its own.
func single(c *Config, n int) ([]byte, error) {
	one := *c
	one.KeepAlive = false
	k, err := dial(&one, n)
	if err != nil {
		return nil, err
	}
	defer k.close()
	body, _, err := k.do(c.Timeout)
	if err != nil {
		return nil, err
	}
	return body, c.check(body)
}
