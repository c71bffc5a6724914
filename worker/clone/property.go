package clone

import (
	"reflect"
	"slices"
	"strings"
)

// property is an exported field as the property of an object.
type property struct {
	name      string
	index     []int // by way of embedded structs
	tagged    bool
	omitEmpty bool
	omitZero  bool
}

// propertiesOf are the fields of a struct as encoding/json sees them: those of
// embedded structs among them, under the names of their json tags. Of several of
// one name the one that is least far in counts, of those the one that has its name
// by a tag; if that leaves several, none.
func propertiesOf(t reflect.Type) []property {
	all := collect(t, nil, nil, nil)
	byName := make(map[string][]property)
	for _, p := range all {
		byName[p.name] = append(byName[p.name], p)
	}
	return slices.DeleteFunc(all, func(p property) bool {
		for _, o := range byName[p.name] {
			if slices.Equal(o.index, p.index) || len(o.index) > len(p.index) {
				continue
			}
			if len(o.index) < len(p.index) || o.tagged || !p.tagged {
				return true
			}
		}
		return false
	})
}

// collect adds the fields of t, which is embedded by way of index in the types
// that are open.
func collect(t reflect.Type, index []int, open []reflect.Type, list []property) []property {
	open = append(slices.Clip(open), t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		at := append(slices.Clip(index), i)
		name, rest, _ := strings.Cut(tag, ",")
		if inner := f.Type; f.Anonymous && name == "" {
			if inner.Kind() == reflect.Pointer && f.IsExported() {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && plainStruct(inner) {
				if !slices.Contains(open, inner) {
					list = collect(inner, at, open, list)
				}
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		p := property{name: name, index: at, tagged: name != ""}
		if name == "" {
			p.name = f.Name
		}
		for option := range strings.SplitSeq(rest, ",") {
			p.omitEmpty = p.omitEmpty || option == "omitempty"
			p.omitZero = p.omitZero || option == "omitzero"
		}
		list = append(list, p)
	}
	return list
}
