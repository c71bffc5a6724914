package ecosystem

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"paceline/internal/app"
)

// account is whom an app runs as, with what its environment says of them.
type account struct {
	user *app.User // nil: the caller themselves
	home string    // "" is not known
	err  error
}

// account finds the user and the group that the options name.
func (l *lookups) account(name, group string) account {
	key := name + "\x00" + group
	a, known := l.accounts[key]
	if !known {
		a = findAccount(name, group)
		l.accounts[key] = a
	}
	return a
}

func findAccount(name, group string) account {
	a, err := lookUp(name, group)
	if err != nil {
		return account{err: err}
	}
	self := a.user.UID == uint32(os.Geteuid()) && a.user.GID == uint32(os.Getegid())
	switch {
	case self && os.Geteuid() != 0:
		return account{} // nothing to change
	case os.Geteuid() != 0:
		return account{err: fmt.Errorf("--user %s needs root: run pace with sudo, or leave the user out", cmpName(name, group))}
	}
	return a
}

func cmpName(name, group string) string {
	if name == "" {
		return "with group " + group
	}
	return name
}

// lookUp makes a user of names or numbers. A number needs no account.
func lookUp(name, group string) (account, error) {
	u := &app.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	a := account{user: u}
	if name == "" {
		name = strconv.Itoa(os.Geteuid())
	}
	found, err := user.Lookup(name)
	id, number := strconv.ParseUint(name, 10, 32)
	if err != nil && number == nil {
		found, err = user.LookupId(name)
	}
	switch {
	case err == nil:
		if err := fill(&a, found); err != nil {
			return account{}, err
		}
	case number == nil: // a container need not know the number
		u.UID, u.GID = uint32(id), uint32(id)
	case isUnknown(err):
		return account{}, fmt.Errorf("--user %q: there is no such user", name)
	default:
		return account{}, fmt.Errorf("--user %q: %w", name, err)
	}
	if group == "" {
		return a, nil
	}
	g, err := user.LookupGroup(group)
	gid, number := strconv.ParseUint(group, 10, 32)
	switch {
	case err == nil:
		if gid, err = strconv.ParseUint(g.Gid, 10, 32); err != nil {
			return account{}, fmt.Errorf("--gid %q: the number %q is odd", group, g.Gid)
		}
	case number != nil && isUnknown(err):
		return account{}, fmt.Errorf("--gid %q: there is no such group", group)
	case number != nil:
		return account{}, fmt.Errorf("--gid %q: %w", group, err)
	}
	u.GID = uint32(gid)
	return a, nil
}

// fill takes over an account, with all its groups.
func fill(a *account, found *user.User) error {
	uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("--user %q: its numbers %q and %q cannot be read", found.Username, found.Uid, found.Gid)
	}
	a.user.Name, a.user.UID, a.user.GID, a.home = found.Username, uint32(uid), uint32(gid), found.HomeDir
	groups, err := found.GroupIds()
	if err != nil {
		return fmt.Errorf("--user %q: list its groups: %w", found.Username, err)
	}
	for _, text := range groups {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			a.user.Groups = append(a.user.Groups, uint32(n))
		}
	}
	slices.Sort(a.user.Groups)
	return nil
}

func isUnknown(err error) bool {
	_, u := errors.AsType[user.UnknownUserError](err)
	_, id := errors.AsType[user.UnknownUserIdError](err)
	_, g := errors.AsType[user.UnknownGroupError](err)
	return u || id || g || errors.Is(err, os.ErrNotExist)
}

// runAs puts the user of the options into spec, and what programs ask the
// environment about them.
func (s *start) runAs() error {
	o := s.options
	if o.User == "" && o.GID == "" {
		return nil
	}
	a := o.lookups.account(o.User, o.GID)
	if a.err != nil || a.user == nil {
		return a.err
	}
	s.spec.User = a.user
	for name, text := range map[string]string{"HOME": a.home, "USER": a.user.Name, "LOGNAME": a.user.Name} {
		if _, own := o.Env[name]; !own && text != "" {
			s.spec.Env[name] = text
		}
	}
	return nil
}
