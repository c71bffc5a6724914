package daemon

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/nodeipc"
	"paceline/internal/port"
)

// ports lists the addresses that apps share.
func (d *daemon) ports(r *http.Request) (any, error) {
	q, err := api.DecodePorts(r.URL.Query())
	if err != nil {
		return nil, err
	}
	list, err := d.found(q.Targets)
	if err != nil {
		return nil, err
	}
	return d.host.portsOf(list), nil
}

// portsOf returns the addresses that the apps of some instances share, by app and
// address.
func (h *host) portsOf(list []app.Status) []api.Port {
	byApp := map[string][]app.Status{}
	for _, s := range list {
		byApp[s.Name] = append(byApp[s.Name], s)
	}
	all := []api.Port{}
	for _, c := range h.clusterList(nil) {
		if instances := byApp[c.name]; len(instances) > 0 {
			all = append(all, c.describe(instances)...)
		}
	}
	slices.SortFunc(all, func(a, b api.Port) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Address, b.Address))
	})
	return all
}

// describe returns what is known of each TCP address of the app.
func (c *cluster) describe(instances []app.Status) (list []api.Port) {
	policy, mechanism, _ := c.dealing()
	loads := c.set.Loads(nil, false)
	var handed []nodeipc.Accepted
	if c.primary != nil {
		handed = c.primary.Accepted(nil)
	}
	for _, n := range c.set.Counters() {
		p := api.Port{
			App: c.name, Address: addressText(n.Address), Balance: policy, Mechanism: n.Mechanism, Reason: n.Reason,
			Dropped: n.Dropped, Moved: n.Moved, Stuck: n.Stuck, Queue: n.Waiting, QueueMax: n.MaxWaiting, Copies: []api.Copy{},
		}
		byHand := mechanism == mechanismHandOff && n.Dealt < 0
		switch {
		case byHand:
			p.Mechanism, p.Accepted = mechanismHandOff, new(int64)
			for _, a := range handed {
				if a.Address == n.Address {
					*p.Accepted += a.Count
				}
			}
		case n.Dealt >= 0:
			p.Accepted = &n.Dealt
		}
		for _, s := range instances {
			if one := c.copyOf(s, n.Address, loads, handed, byHand); one.Accepted != nil || one.Queue != nil {
				p.Copies = append(p.Copies, one)
			}
		}
		list = append(list, p)
	}
	return list
}

// copyOf returns an instance's part in an address.
func (c *cluster) copyOf(s app.Status, address string, loads []port.Load, handed []nodeipc.Accepted, byHand bool) api.Copy {
	one := api.Copy{ID: s.ID, Index: s.Index}
	for _, l := range loads {
		if l.Address != address || l.Rank != s.Index {
			continue
		}
		one.Queue = &l.Waiting
		if l.Dealt >= 0 {
			one.Accepted = &l.Dealt
		}
	}
	if byHand {
		for _, a := range handed {
			if a.Address == address && a.Slot == s.Index {
				one.Accepted = &a.Count
			}
		}
	}
	return one
}

// addressText writes an address as statuses do: any address is a star.
func addressText(address string) string {
	for _, any := range []string{"[::]:", "0.0.0.0:"} {
		if number, ok := strings.CutPrefix(address, any); ok {
			return "*:" + number
		}
	}
	return address
}
