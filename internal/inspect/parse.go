package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxDepth is how deep a text may be nested: more is nobody's data.
const maxDepth = 1000

// Parse reads JSON into the package's values; numbers become float64, and a key that
// comes twice has its last value in its first place, as in JavaScript.
func Parse(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	v, err := parse(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the value at byte %d", dec.InputOffset())
	}
	return v, nil
}

func parse(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch token {
	case json.Delim('['):
		return parseList(dec, depth)
	case json.Delim('{'):
		return parseObject(dec, depth)
	}
	return token, nil
}

func parseList(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := parse(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	o, at := Object{}, map[string]int{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string) // the decoder lets nothing else pass
		v, err := parse(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if i, twice := at[name]; twice {
			o[i].Value = v
			continue
		}
		at[name] = len(o)
		o = append(o, Member{name, v})
	}
	_, err := dec.Token()
	return o, err
}
