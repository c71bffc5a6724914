package ecosystem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"paceline/internal/app"
)

// Schema returns the JSON Schema of app files, for editors. It is made of the table
// of fields.
func Schema() []byte {
	one := appSchema(nil)
	job := appSchema([]string{"schedule", "cron"})
	apps := map[string]any{"anyOf": []any{
		map[string]any{"type": "array", "items": ref("app")}, ref("app"),
	}}
	root := map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Paceline app file",
		"description": "Apps that pace starts: see docs/app-file.md.",
		"$defs":       map[string]any{"app": one, "job": job, "check": checkSchema(), "hook": hookSchema()},
		"type":        "object",
		"properties": map[string]any{
			"$schema": map[string]any{"type": "string"},
			"apps":    apps,
			"pm2":     apps,
			"jobs":    map[string]any{"type": "array", "items": ref("job"), "description": "Apps that run once at the times of `schedule`."},
			"static":  map[string]any{"type": "array", "items": staticSchema(), "description": "Folders that are served."},
			"deploy":  map[string]any{"type": "object", "description": "Environments of `pace deploy`."},
		},
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic(fmt.Sprintf("ecosystem: encode the schema: %v", err)) // it holds only plain values
	}
	return b.Bytes()
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }

func types(names ...string) map[string]any {
	if len(names) == 1 {
		return map[string]any{"type": names[0]}
	}
	return map[string]any{"type": names}
}

// appSchema describes an app; one of the keys in need has to be there, besides the script.
func appSchema(need []string) map[string]any {
	props := map[string]any{}
	var script []any
	for _, f := range fields() {
		s := f.schema()
		for _, name := range append([]string{f.name}, f.aliases...) {
			props[name] = s
			if c := camelCase(name); c != name {
				props[c] = s
			}
		}
		if f.name == "script" {
			for _, name := range append([]string{f.name}, f.aliases...) {
				script = append(script, map[string]any{"required": []string{name}})
			}
		}
	}
	all := []any{map[string]any{"anyOf": script}}
	if len(need) > 0 {
		var either []any
		for _, name := range need {
			either = append(either, map[string]any{"required": []string{name}})
		}
		all = append(all, map[string]any{"anyOf": either})
	}
	return map[string]any{
		"type": "object", "properties": props, "allOf": all, "additionalProperties": false,
		"patternProperties": map[string]any{"^env_": map[string]any{
			"type": []string{"object", "string", "array", "null"}, "description": "Variables with --env of that name; they go before those of env.",
		}},
	}
}

func (f *field) schema() map[string]any {
	var s map[string]any
	words := map[string]any{"type": []string{"array", "string", "number", "null"}, "items": types("string", "number", "boolean")}
	switch f.shape {
	case shapeText:
		s = types("string", "number", "null")
	case shapeBool:
		s = types("boolean", "string", "number", "null")
	case shapeNumber, shapeCount, shapeDuration, shapeSize:
		s = types("number", "string", "null")
	case shapeWords, shapeNumbers:
		s = words
	case shapeEnv:
		s = types("object", "string", "null")
	case shapeSwitch:
		s = maps.Clone(words)
		s["type"] = []string{"boolean", "array", "string", "null"}
	case shapeLog:
		s = types("boolean", "string", "null")
	case shapeDepends:
		s = types("array", "string", "object", "null")
	case shapeHooks:
		s = map[string]any{"anyOf": []any{map[string]any{"type": "array", "items": ref("hook")}, ref("hook"), types("null")}}
	case shapeObject:
		s = map[string]any{"type": []string{"object", "null"}}
	default:
		s = map[string]any{}
	}
	if len(f.words) > 0 {
		s = map[string]any{"enum": f.words}
	}
	switch f.name {
	case "health":
		s["properties"] = merge(map[string]any{"startup": ref("check"), "readiness": ref("check"), "liveness": ref("check")}, checkProperties())
		s["additionalProperties"] = false
	case "limits":
		s["properties"] = map[string]any{"memory": types("string", "number"), "cpu": types("number", "string"), "pids": types("number", "string")}
		s["additionalProperties"] = false
	}
	s["description"] = f.doc
	if f.def != "" {
		s["description"] = f.doc + " Default: " + f.def + "."
	}
	return s
}

func merge(a, b map[string]any) map[string]any {
	maps.Copy(a, b)
	return a
}

func checkProperties() map[string]any {
	return map[string]any{
		"http": types("string"), "tcp": types("string", "number"), "exec": types("string", "array"),
		"interval": types("number", "string"), "timeout": types("number", "string"), "delay": types("number", "string"),
		"retries": types("integer", "string"),
	}
}

func checkSchema() map[string]any {
	return map[string]any{"type": "object", "properties": checkProperties(), "additionalProperties": false}
}

func hookSchema() map[string]any {
	words := map[string]any{"enum": app.HookWords()}
	return map[string]any{
		"type": "object", "required": []string{"on"}, "additionalProperties": false,
		"properties": map[string]any{
			"on": map[string]any{"anyOf": []any{words, map[string]any{"type": "array", "items": words}, types("string")}}, "exec": types("string", "array"), "webhook": types("string"),
			"timeout": types("number", "string"), "retries": types("integer"),
		},
	}
}

func staticSchema() map[string]any {
	return map[string]any{"type": "object", "properties": map[string]any{
		"path": types("string"), "port": types("number", "string"), "host": types("string"), "name": types("string"),
		"spa": types("boolean"), "ftp": types("boolean"), "directory": types("boolean"), "monitor": map[string]any{},
		"basic_auth": map[string]any{"type": "object", "properties": map[string]any{"username": types("string"), "password": types("string")}},
	}, "additionalProperties": false}
}

// camelCase turns max_memory_restart into maxMemoryRestart.
func camelCase(name string) string {
	parts := strings.Split(name, "_")
	for i := 1; i < len(parts); i++ {
		if parts[i] != "" {
			parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
		}
	}
	return strings.Join(parts, "")
}

// FieldsMarkdown returns the tables of docs/app-file.md.
func FieldsMarkdown() string {
	var b strings.Builder
	group := ""
	for _, f := range fields() {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "\n### %s\n\n| field | value | default | meaning |\n|---|---|---|---|\n", group)
		}
		names := "`" + f.name + "`"
		if len(f.aliases) > 0 {
			names += " (`" + strings.Join(f.aliases, "`, `") + "`)"
		}
		shape := string(f.shape)
		if len(f.words) > 0 {
			shape = "`" + strings.Join(f.words, "`, `") + "`"
		}
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", names, cell(shape), cell(f.def), cell(f.doc))
	}
	return b.String()
}
