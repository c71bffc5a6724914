package ecosystem

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// setter is what a field does with its value.
type setter func(d *draft, v value) error

// textOf reads a text; a number or a truth is taken as it is written.
func textOf(v value) (string, error) {
	switch v.kind {
	case text, number, boolean:
		return v.text, nil
	}
	return "", wrongKind("a text", v)
}

// texted sets an option that is a text.
func texted(into func(o *StartOptions) *string) setter {
	return func(d *draft, v value) error {
		if v.kind == boolean {
			return wrongKind("a text", v)
		}
		s, err := textOf(v)
		*into(&d.StartOptions) = s
		return err
	}
}

// numbered sets an option that is read as a number later, which may be a text.
func numbered(wanted string, into func(o *StartOptions) *string) setter {
	return func(d *draft, v value) error {
		if v.kind != number && v.kind != text {
			return wrongKind(wanted, v)
		}
		if v.kind == number && strings.ContainsAny(v.text, "eE") { // 1e3
			if n, err := strconv.ParseFloat(v.text, 64); err == nil {
				v.text = strconv.FormatFloat(n, 'f', -1, 64)
			}
		}
		if v.kind == text && strings.TrimSpace(v.text) == "" {
			return nil
		}
		*into(&d.StartOptions) = strings.TrimSpace(v.text)
		return nil
	}
}

// truth reads true or false, also as a text.
func truth(v value) (bool, error) {
	switch strings.ToLower(v.text) {
	case "true", "1":
		return v.kind != list && v.kind != object, nil
	case "false", "0", "":
		if v.kind != list && v.kind != object {
			return false, nil
		}
	}
	return false, wrongKind("true or false", v)
}

// switched sets an option that is true when the field is equal to when.
func switched(when bool, into func(o *StartOptions) *bool) setter {
	return func(d *draft, v value) error {
		b, err := truth(v)
		*into(&d.StartOptions) = b == when
		return err
	}
}

// splitQuoted splits at blanks; what stands in quotes stays together and keeps them,
// as in PM2.
func splitQuoted(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	for _, r := range line {
		switch {
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
			continue
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		}
		word.WriteRune(r)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

// wordsOf reads a list of scalars, or a text that split takes apart.
func wordsOf(v value, split func(string) []string) ([]string, error) {
	switch v.kind {
	case text:
		return split(v.text), nil
	case number:
		return []string{v.text}, nil
	case list:
		words := make([]string, 0, len(v.items))
		for i := range v.items {
			word, err := textOf(v.items[i])
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i+1, err)
			}
			words = append(words, word)
		}
		return words, nil
	}
	return nil, wrongKind("a list or a text", v)
}

// listed sets an option that is a list of words.
func listed(split func(string) []string, into func(o *StartOptions) *[]string) setter {
	return func(d *draft, v value) error {
		words, err := wordsOf(v, split)
		*into(&d.StartOptions) = words
		return err
	}
}

// whole is the split that takes none apart.
func whole(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// interpreterArgs reads the words before the script. The command line has them as
// one text, so they are quoted for it.
func interpreterArgs(d *draft, v value) error {
	if v.kind == text {
		d.InterpreterArgs = v.text
		return nil
	}
	words, err := wordsOf(v, whole)
	for i := range words {
		words[i] = quoteWord(words[i])
	}
	d.InterpreterArgs = strings.Join(words, " ")
	return err
}

func execMode(d *draft, v value) error {
	switch strings.TrimSuffix(strings.ToLower(v.text), "_mode") {
	case "fork":
		d.ForkMode = true
	case "cluster":
		d.cluster = true
	default:
		return wrongKind("fork or cluster", v)
	}
	return nil
}

// exitCodesOf reads codes from a list, a number or a text.
func exitCodesOf(d *draft, v value) error {
	words, err := wordsOf(v, strings.Fields)
	d.Restart.StopExitCodes = strings.Join(words, " ")
	return err
}

func filterEnv(d *draft, v value) error {
	if v.kind == boolean {
		if v.text == "true" {
			d.FilterEnv = []string{"*"}
		}
		return nil
	}
	words, err := wordsOf(v, splitQuoted)
	d.FilterEnv = words
	return err
}

func watchPaths(d *draft, v value) error {
	if b, err := truth(v); err == nil {
		d.Watch.On = b
		return nil
	}
	words, err := wordsOf(v, splitQuoted)
	d.Watch.On, d.Watch.Paths = len(words) > 0, words
	return err
}

func ignoreWatch(d *draft, v value) error {
	words, err := wordsOf(v, splitQuoted)
	d.Watch.Ignore, d.Watch.IgnoreSet = words, true
	return err
}

// logFile reads the combined log: a path, or true for the usual one.
func logFile(d *draft, v value) error {
	if v.kind == boolean {
		d.Log.Default = v.text == "true"
		return nil
	}
	return texted(func(o *StartOptions) *string { return &o.Log.Both })(d, v)
}

func cronRestart(d *draft, v value) error {
	if v.empty() || v.kind == text && v.text == "0" {
		return nil
	}
	if v.kind != text {
		return wrongKind(`a cron pattern such as "0 3 * * *"`, v)
	}
	d.Restart.Cron = v.text
	return nil
}

// envOf reads variables: an object, or a text such as "A=1 B=2".
func envOf(v value) (map[string]string, error) {
	switch v.kind {
	case text:
		words, _, err := splitWords(v.text)
		if err != nil {
			return nil, err
		}
		env := map[string]string{}
		for _, w := range words {
			name, val, ok := strings.Cut(w.text, "=")
			if !ok || name == "" {
				return nil, fmt.Errorf("%q is not NAME=value", w.text)
			}
			env[name] = val
		}
		return env, nil
	case object:
		env := make(map[string]string, len(v.members))
		for _, m := range v.members {
			switch {
			case m.key == "" || strings.ContainsAny(m.key, "=\x00"):
				return nil, fmt.Errorf("%q cannot be the name of a variable", m.key)
			case strings.ContainsRune(m.value.text, 0):
				return nil, fmt.Errorf("the value of %s holds a NUL byte", m.key)
			}
			switch m.value.kind {
			case null:
				delete(env, m.key)
			case list, object:
				env[m.key] = string(m.value.appendJSON(nil))
			default:
				env[m.key] = m.value.text
			}
		}
		return env, nil
	}
	return nil, wrongKind("an object of variables", v)
}

func dependsOn(d *draft, v value) error {
	switch v.kind {
	case text:
		d.DependsOn = strings.Fields(strings.ReplaceAll(v.text, ",", " "))
		return nil
	case list:
		for i := range v.items {
			text, err := dependency(v.items[i])
			if err != nil {
				return fmt.Errorf("item %d: %w", i+1, err)
			}
			d.DependsOn = append(d.DependsOn, text)
		}
		return nil
	case object:
		for _, m := range v.members {
			item := value{kind: object, members: []member{{key: "app", value: value{kind: text, text: m.key}}}}
			if m.value.kind == object { // as in a compose file
				item.members = append(item.members, m.value.members...)
			} else {
				item.members = append(item.members, member{key: "condition", value: m.value})
			}
			text, err := dependency(item)
			if err != nil {
				return fmt.Errorf("%s: %w", m.key, err)
			}
			d.DependsOn = append(d.DependsOn, text)
		}
		return nil
	}
	return wrongKind("the names of apps", v)
}

// dependency reads one of depends_on as "app:condition".
func dependency(v value) (string, error) {
	if v.kind == text {
		return v.text, nil
	}
	if v.kind != object {
		return "", wrongKind(`a name, or an object such as {"app": "db", "condition": "ready"}`, v)
	}
	name, condition := "", string(app.DependReady)
	for _, m := range v.members {
		switch {
		case m.key == "app" && m.value.kind == text:
			name = m.value.text
		case m.key == "condition" && m.value.kind == text:
			condition = strings.TrimPrefix(m.value.text, "service_")
		case m.value.kind == null:
		default:
			return "", fmt.Errorf("%s means nothing here; want app and condition", m.key)
		}
	}
	if name == "" {
		return "", errors.New("app is missing")
	}
	for _, c := range app.Conditions() {
		if string(c) == condition || c == app.DependReady && condition == "healthy" || c == app.DependCompleted && condition == "completed_successfully" {
			return name + ":" + string(c), nil
		}
	}
	return "", fmt.Errorf("the condition %q is none of started, ready, completed", condition)
}

// postUpdate reads commands; a text is one.
func postUpdate(d *draft, v value) (err error) {
	d.PostUpdate, err = wordsOf(v, whole)
	return err
}
