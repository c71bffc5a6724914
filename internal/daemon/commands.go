package daemon

import (
	"fmt"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
)

// commanded tells that somebody has asked for something, as an event of each app that
// it is about. Whether it was done, what follows tells.
func (d *daemon) commanded(r *http.Request, what string, ids []int) {
	byName := map[string][]app.Status{}
	var names []string
	all := map[string]int{}
	for _, s := range d.supervisor.List() {
		all[s.Name]++
		if slices.Contains(ids, s.ID) {
			if byName[s.Name] == nil {
				names = append(names, s.Name)
			}
			byName[s.Name] = append(byName[s.Name], s)
		}
	}
	by := sender(r)
	for _, name := range names {
		e := app.Event{At: time.Now(), Type: app.EventCommand, ID: -1, Name: name, Detail: what, By: by}
		if list := byName[name]; len(list) < all[name] || all[name] == 1 { // not the app as a whole
			for _, s := range list {
				e.ID, e.Gen, e.PID = s.ID, s.Gen, s.PID
				d.happened(e)
			}
			continue
		}
		d.happened(e)
	}
}

// commandedSpecs is commanded for apps that need not be there yet.
func (d *daemon) commandedSpecs(r *http.Request, what string, specs []app.Spec) {
	var names []string
	for i := range specs {
		names = append(names, specs[i].Name)
	}
	d.commandedNames(r, what, names)
}

func (d *daemon) commandedNames(r *http.Request, what string, names []string) {
	by := sender(r)
	for _, name := range names {
		d.happened(app.Event{At: time.Now(), Type: app.EventCommand, ID: -1, Name: name, Detail: what, By: by})
	}
}

// sender says who has sent a request: "root (pace, pid 4711)", with the account of the
// login where that is another one. Arguments of a process may be secret, so that its
// name alone is told.
func sender(r *http.Request) string {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok || p.uid < 0 {
		return ""
	}
	text := account(p.uid)
	if p.pid <= 0 {
		return text
	}
	name := "a process"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid)); err == nil {
		name = strings.ToValidUTF8(strings.TrimSpace(string(comm)), "?")
	}
	text += fmt.Sprintf(" (%s, pid %d", name, p.pid)
	if login, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", p.pid)); err == nil {
		// 2^32-1 is none.
		if uid, err := strconv.ParseUint(strings.TrimSpace(string(login)), 10, 32); err == nil && uid != 1<<32-1 && int(uid) != p.uid {
			text += ", login " + account(int(uid))
		}
	}
	return text + ")"
}

// account is the name of an account, or its number.
func account(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}

// differing says what is to change in apps that are there.
func (d *daemon) differing(specs []app.Spec) (changes []app.Change) {
	present := d.specs()
	for i := range specs {
		if old := present[specs[i].Name]; old != nil {
			changes = append(changes, app.Diff(old, &specs[i])...)
		}
	}
	return changes
}

// anyRuns reports whether a process of one of the apps is there.
func (d *daemon) anyRuns(specs []app.Spec) bool {
	for _, s := range d.supervisor.List() {
		if s.PID != 0 && slices.ContainsFunc(specs, func(spec app.Spec) bool { return spec.Name == s.Name }) {
			return true
		}
	}
	return false
}

// configured tells what is about to change in the configuration of apps that are there.
func (d *daemon) configured(specs []app.Spec) { d.tellChanges("", d.differing(specs)) }

// notConfigured tells what a failed command has not changed after all.
func (d *daemon) notConfigured(specs []app.Spec, err error) {
	if err != nil {
		d.tellChanges("put back: ", d.differing(specs))
	}
}

// tellChanges names what has changed, without values, which may be secret.
func (d *daemon) tellChanges(before string, changes []app.Change) {
	fields := map[string][]string{}
	var names []string
	for _, c := range changes {
		if fields[c.App] == nil {
			names = append(names, c.App)
		}
		fields[c.App] = append(fields[c.App], c.Field+" "+c.Kind)
	}
	for _, name := range names {
		d.happened(app.Event{
			At: time.Now(), Type: app.EventConfig, ID: -1, Name: name, Detail: before + strings.Join(fields[name], ", "),
		})
	}
}
