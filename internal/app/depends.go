package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Condition is what an app waits for in another one.
type Condition string

// The conditions of a Dependency.
const (
	// DependStarted: each instance has a process.
	DependStarted Condition = "started"
	// DependReady: each instance is ready: it listens or has said so, and has
	// passed its startup and readiness checks. What shows no sign of readiness is
	// taken as ready when its ListenTimeout is over. The default.
	DependReady Condition = "ready"
	// DependCompleted: it has run to its end with exit code 0, for jobs such as a
	// migration.
	DependCompleted Condition = "completed"
)

// Conditions lists all of them.
func Conditions() []Condition { return []Condition{DependStarted, DependReady, DependCompleted} }

// Dependency says that an app is started after another one.
type Dependency struct {
	App       string    `json:"app"`
	Condition Condition `json:"condition"`
}

func validateDepends(name string, list []Dependency) error {
	for _, d := range list {
		switch {
		case d.App == name:
			return fmt.Errorf("depends_on: %s depends on itself", name)
		case d.App == "":
			return errors.New("depends_on: name an app")
		case !slices.Contains(Conditions(), d.Condition):
			return fmt.Errorf("depends_on: condition %q is none of started, ready, completed", d.Condition)
		}
	}
	return nil
}

// StartOrder returns the specs so that each stands after those that it depends
// on, otherwise in their order. A cycle is an error that names it.
func StartOrder(specs []Spec) ([]Spec, error) {
	at := map[string]int{}
	for i := range specs {
		at[specs[i].Name] = i
	}
	var out []Spec
	const visiting, done = 1, 2
	seen := make([]int, len(specs))
	var path []string
	var visit func(i int) error
	visit = func(i int) error {
		path = append(path, specs[i].Name)
		switch seen[i] {
		case done:
		case visiting:
			from := slices.Index(path, specs[i].Name)
			return fmt.Errorf("%w: depends_on: %s wait for each other", ErrInvalid, strings.Join(path[from:], " -> "))
		default:
			seen[i] = visiting
			for _, d := range specs[i].DependsOn {
				if j, here := at[d.App]; here {
					if err := visit(j); err != nil {
						return err
					}
				}
			}
			seen[i] = done
			out = append(out, specs[i])
		}
		path = path[:len(path)-1]
		return nil
	}
	for i := range specs {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}
