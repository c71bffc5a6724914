package supervisor

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// Resolve returns the ids that the targets mean, sorted and each once. A target
// is "all", a /regular expression/ on names, a name, the absolute path of a script,
// a namespace, or an id: what comes first in this list counts, as in PM2.
// Errors: ErrNotFound naming the target that means nothing, ErrTarget.
func (s *Supervisor) Resolve(targets []string) ([]int, error) {
	if len(targets) == 0 {
		return nil, fmt.Errorf("%w: none given; name an app, an id or all", ErrTarget)
	}
	var ids []int
	slots := s.reg.list.Load().slots
	for _, target := range targets {
		matches, err := matcher(target, slots)
		if err != nil {
			return nil, err
		}
		before := len(ids)
		for _, sl := range slots {
			if matches(sl) {
				ids = append(ids, sl.id)
			}
		}
		if len(ids) == before {
			if target == "all" {
				return nil, fmt.Errorf("%w: no app has been started", ErrNotFound)
			}
			return nil, fmt.Errorf("%s: %w", target, ErrNotFound)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// matcher reads one target.
func matcher(target string, slots []*slot) (func(*slot) bool, error) {
	spec := func(sl *slot) *app.Spec { return sl.group.spec.Load() }
	if target == "all" {
		return func(*slot) bool { return true }, nil
	}
	if len(target) > 1 && strings.HasPrefix(target, "/") && strings.HasSuffix(target, "/") {
		re, err := regexp.Compile(target[1 : len(target)-1])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrTarget, target, err)
		}
		return func(sl *slot) bool { return re.MatchString(spec(sl).Name) }, nil
	}
	for _, is := range []func(*slot) bool{
		func(sl *slot) bool { return spec(sl).Name == target },
		func(sl *slot) bool { return filepath.IsAbs(target) && spec(sl).Exec == filepath.Clean(target) },
		func(sl *slot) bool { return cmp.Or(spec(sl).Namespace, defaultNamespace) == target },
	} {
		if slices.ContainsFunc(slots, is) {
			return is, nil
		}
	}
	id, err := strconv.Atoi(target)
	return func(sl *slot) bool { return err == nil && sl.id == id }, nil
}

// defaultNamespace is the name of the namespace of apps without one.
const defaultNamespace = "default"
