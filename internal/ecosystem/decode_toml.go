package ecosystem

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/BurntSushi/toml"
)

// decodeTOML reads TOML. Its library does not say where a value stands, so only
// the lines of tables' headers are known. Errors: *syntaxError, errDepth, errValues.
func decodeTOML(data []byte) (value, error) {
	if tooDeep(data) { // the library recurses as deep as the text goes
		return value{}, errDepth
	}
	var doc map[string]any
	if _, err := toml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		if e, ok := errors.AsType[toml.ParseError](err); ok {
			return value{}, &syntaxError{line: e.Position.Line, column: e.Position.Col, message: e.Message}
		}
		return value{}, &syntaxError{message: err.Error()}
	}
	r := tomlReader{}
	return r.value(doc, 0)
}

// tooDeep tells a text with a thousand open brackets, wherever they stand.
func tooDeep(data []byte) bool {
	open := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			if open++; open > 1000 {
				return true
			}
		case ']', '}':
			open = max(open-1, 0)
		}
	}
	return false
}

type tomlReader struct{ budget budget }

func (r *tomlReader) value(x any, depth int) (value, error) {
	if err := r.budget.take(depth); err != nil {
		return value{}, err
	}
	switch x := x.(type) {
	case bool:
		return value{kind: boolean, text: strconv.FormatBool(x)}, nil
	case int64:
		return value{kind: number, text: strconv.FormatInt(x, 10)}, nil
	case float64:
		return value{kind: number, text: strconv.FormatFloat(x, 'g', -1, 64)}, nil
	case string:
		return value{kind: text, text: x}, nil
	case time.Time:
		return value{kind: text, text: x.Format(time.RFC3339Nano)}, nil
	case []any:
		v := value{kind: list}
		for _, item := range x {
			if err := r.append(&v, item, depth); err != nil {
				return value{}, err
			}
		}
		return v, nil
	case []map[string]any:
		v := value{kind: list}
		for _, item := range x {
			if err := r.append(&v, item, depth); err != nil {
				return value{}, err
			}
		}
		return v, nil
	case map[string]any:
		v := value{kind: object}
		for _, key := range slices.Sorted(maps.Keys(x)) {
			item, err := r.value(x[key], depth+1)
			if err != nil {
				return value{}, err
			}
			v.members = append(v.members, member{key: key, value: item})
		}
		return v, nil
	}
	return value{}, &syntaxError{message: fmt.Sprintf("a value of type %T means nothing here", x)}
}

func (r *tomlReader) append(v *value, item any, depth int) error {
	x, err := r.value(item, depth+1)
	if err == nil {
		v.items = append(v.items, x)
	}
	return err
}
