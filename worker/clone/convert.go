package clone

import "fmt"

// As makes v a T.
func As[T any](v any) (T, error) {
	t, ok := v.(T)
	if !ok {
		return t, &Error{Reason: fmt.Sprintf("a %T is not a %T", v, t)}
	}
	return t, nil
}
