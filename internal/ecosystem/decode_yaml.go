package ecosystem

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decodeYAML reads one YAML document. Aliases and merge keys ("<<") are followed.
// Errors: *syntaxError, errDepth, errValues.
func decodeYAML(data []byte) (value, error) {
	var doc yaml.Node
	// The duplicates of a key are found by the parser; depth and aliases are
	// bounded here, where they are followed.
	if err := yaml.Load(data, &doc, yaml.WithUniqueKeys()); err != nil {
		return value{}, yamlError(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return value{}, nil
	}
	r := yamlReader{}
	return r.value(doc.Content[0], 0)
}

// yamlError takes the place out of the library's text.
func yamlError(err error) error {
	message := strings.TrimPrefix(strings.SplitN(err.Error(), "\n", 2)[0], "yaml: ")
	e := &syntaxError{message: message}
	if le, ok := errors.AsType[*yaml.LoadError](err); ok && le.Mark.Line > 0 {
		e.line, e.column, e.message = le.Mark.Line, le.Mark.Column, le.Message
		if e.message == "" {
			e.message = message
		}
		return e
	}
	return e
}

type yamlReader struct{ budget budget }

func (r *yamlReader) value(n *yaml.Node, depth int) (value, error) {
	if err := r.budget.take(depth); err != nil {
		return value{}, err
	}
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias == nil {
			return value{}, &syntaxError{line: n.Line, message: fmt.Sprintf("the alias *%s has no anchor", n.Value)}
		}
		v, err := r.value(n.Alias, depth+1) // one that holds itself ends at maxDepth
		return v, err
	case yaml.SequenceNode:
		v := value{kind: list, line: n.Line}
		for _, c := range n.Content {
			item, err := r.value(c, depth+1)
			if err != nil {
				return value{}, err
			}
			v.items = append(v.items, item)
		}
		return v, nil
	case yaml.MappingNode:
		return r.object(n, depth)
	}
	return scalar(n)
}

func (r *yamlReader) object(n *yaml.Node, depth int) (value, error) {
	v := value{kind: object, line: n.Line}
	var inherited []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		item, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return value{}, err
		}
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			more, err := mergeable(item, key.Line)
			if err != nil {
				return value{}, err
			}
			inherited = append(inherited, more...)
			continue
		}
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return value{}, &syntaxError{line: key.Line, column: key.Column, message: "a key is a list or an object, not a word"}
		}
		v.members = append(v.members, member{key.Value, item, key.Line})
	}
	if len(inherited) == 0 {
		return v, nil
	}
	own := map[string]bool{}
	for _, m := range v.members {
		own[m.key] = true
	}
	for _, m := range inherited { // the first of several that are merged holds
		if !own[m.key] {
			own[m.key] = true
			v.members = append(v.members, m)
		}
	}
	return v, nil
}

// mergeable returns the members that "<<" brings in: of an object, or of a list of them.
func mergeable(v value, line int) ([]member, error) {
	switch v.kind {
	case object:
		return v.members, nil
	case list:
		var all []member
		for _, item := range v.items {
			if item.kind != object {
				return nil, &syntaxError{line: line, message: "<< merges objects, not " + item.kind.String()}
			}
			all = append(all, item.members...)
		}
		return all, nil
	}
	return nil, &syntaxError{line: line, message: "<< merges objects, not " + v.kind.String()}
}

func scalar(n *yaml.Node) (value, error) {
	v := value{text: n.Value, line: n.Line}
	switch n.ShortTag() {
	case "!!null":
		v.kind, v.text = null, ""
	case "!!bool":
		v.kind = boolean
		v.text = strings.ToLower(v.text)
	case "!!int", "!!float":
		v.kind = number
	case "!!str", "!!timestamp":
		v.kind = text
	default:
		return value{}, &syntaxError{line: n.Line, column: n.Column, message: fmt.Sprintf("the tag %s means nothing here", n.Tag)}
	}
	return v, nil
}

// utf8BOM begins files that some editors write.
var utf8BOM = []byte("\xef\xbb\xbf")

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, utf8BOM) }
