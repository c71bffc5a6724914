package clone

import (
	"fmt"
	"reflect"
)

// MaxDepth is how deep values may be nested in each other. It bounds the stack
// that a copy needs: JavaScript's own ends at about as many.
const MaxDepth = 10_000

// Clone returns a deep copy of v of the same type.
//
//   - Pointers, maps, slices and what an interface holds are copied; two that are
//     the same are so in the copy, and cycles stay cycles. Two slices are the same
//     if they begin at the same element and have the same length; a pointer to a
//     part of another value becomes one to a copy of that part alone. The copy of
//     a slice has no spare capacity.
//   - In structs exported fields are copied, others if they hold no reference, or
//     if that is nil. A type with others is refused unless it is a [Cloner], as is
//     any lock.
//   - A type that is a [Shared] is not copied, nor are *regexp.Regexp,
//     *time.Location and the addresses of net/netip: nobody can change them.
//   - An error keeps its type if that can be copied; the simple ones of package
//     errors, such as io.EOF, stay the same. Any other becomes an [*ErrorValue].
//   - Functions, channels and unsafe pointers are refused unless they are nil.
//
// Errors: *Error, which says where in v something cannot be copied.
func Clone(v any) (any, error) {
	c := newCopying()
	defer c.release()
	to, err := c.any(v)
	if err != nil {
		return nil, rooted(err)
	}
	return to, nil
}

// Of is [Clone] for those who know the type.
func Of[T any](v T) (T, error) {
	to, err := Clone(v)
	if err != nil {
		var none T
		return none, err
	}
	t, _ := to.(T) // not one if v is a nil interface, and then neither is the copy
	return t, nil
}

// Transferred is a copy with what has moved into it.
type Transferred struct {
	Value any
	Moved []any // what the receiver has in place of each value of the list
}

// Transfer is [Clone], but the values of the list move instead of being copied.
// The caller delivers the copy and calls finish once with true, which detaches
// the values of the list, or with false, and nothing has happened to them.
//
// Errors: *Error, ErrDetached for a value that has moved before; finish is nil.
func Transfer(v any, list ...Transferable) (t Transferred, finish func(delivered bool), err error) {
	var finishes []func(bool)
	all := func(delivered bool) {
		for _, f := range finishes {
			f(delivered)
		}
	}
	c := newCopying()
	defer c.release()
	for i, one := range list {
		moved, done, err := c.begin(one)
		if err != nil {
			all(false)
			return Transferred{}, nil, fmt.Errorf("transfer list: item %d: %w", i, err)
		}
		finishes = append(finishes, done)
		t.Moved = append(t.Moved, moved)
	}
	if t.Value, err = c.any(v); err != nil {
		all(false)
		return Transferred{}, nil, rooted(err)
	}
	return t, all, nil
}

// begin begins the transfer of a value and remembers what it becomes.
func (c *copying) begin(one Transferable) (moved any, finish func(bool), err error) {
	from := reflect.ValueOf(one)
	if from.Kind() != reflect.Pointer || from.IsNil() {
		return nil, nil, &Error{Reason: fmt.Sprintf("%T is not a pointer to something", one)}
	}
	key := reference{at: from.UnsafePointer(), of: from.Type()}
	if _, twice := c.known.get(key); twice {
		return nil, nil, &Error{Reason: "it is in the list before"}
	}
	moved, finish, err = one.BeginTransfer()
	if err != nil {
		return nil, nil, err
	}
	to := reflect.ValueOf(moved)
	if !to.IsValid() || to.Type() != from.Type() {
		finish(false)
		return nil, nil, &Error{Reason: fmt.Sprintf("a %T became a %T", one, moved)}
	}
	c.known.put(key, to)
	return moved, finish, nil
}
