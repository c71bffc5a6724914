package ecosystem

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paceline/internal/app"
)

// wrappers are tools that start the real program as a child of their own, so
// that neither Node's channel nor a signal reaches it directly.
var wrappers = []string{
	"npm", "npx", "yarn", "yarnpkg", "pnpm", "pnpx", "corepack", "bunx",
	"tsx", "ts-node", "ts-node-esm", "ts-node-dev", "tsnd", "nodemon", "cross-env", "env-cmd", "dotenv", "concurrently",
}

// wrapperScripts are the same tools by the names of their scripts.
var wrapperScripts = map[string]string{"npm-cli.js": "npm", "npx-cli.js": "npx"}

// wrapperOf returns the name of the tool if file is one, with its arguments,
// else "".
func wrapperOf(file string, args []string) string {
	base := filepath.Base(file)
	switch {
	case slices.Contains(wrappers, base):
		return base
	case wrapperScripts[base] != "":
		return wrapperScripts[base]
	case base == "bun" && len(args) > 1 && (args[0] == "run" || args[0] == "x"):
		if args[0] == "run" && filepath.Ext(args[1]) != "" { // a file: bun itself runs it
			return ""
		}
		return "bun " + args[0]
	case base == "deno" && len(args) > 0 && args[0] == "task":
		return "deno task"
	}
	if !filepath.IsAbs(file) {
		return ""
	}
	// node_modules/tsx/dist/cli.mjs: the package's name, where npm has put it
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return ""
	}
	parts := strings.Split(real, "/")
	for i := len(parts) - 3; i >= 0; i-- { // -3: the package and at least a file in it follow
		if parts[i] == "node_modules" {
			if slices.Contains(wrappers, parts[i+1]) {
				return parts[i+1]
			}
			return ""
		}
	}
	return ""
}

// wrapperIn returns the first wrapper that stands where a shell line has a
// command: at its beginning or after an operator.
func wrapperIn(words []word) string {
	command := true
	for i, w := range words {
		if command {
			if name := wrapperOf(w.text, texts(words[i+1:])); name != "" {
				return name
			}
		}
		command = command && (w.assign || w.text == "exec" || w.text == "env") ||
			w.text != "" && strings.ContainsRune("&|;({", rune(w.text[len(w.text)-1]))
	}
	return ""
}

// remedy is the command that would start what the wrapper starts.
func remedy(spec *app.Spec, instances string) string {
	tail := ""
	if instances != "" {
		tail = " -i " + instances
	}
	example := "start the script itself, e.g. pace start dist/main.js" + tail
	switch spec.Wrapper {
	case "npm", "yarn", "yarnpkg", "pnpm", "bun run":
		if line, ok := packageScript(spec.Cwd, spec.Args); ok {
			return "start the script itself: pace start " + quoteLine(line) + tail
		}
	case "tsx", "ts-node", "ts-node-esm", "ts-node-dev", "tsnd", "nodemon", "node --watch", "node --watch-path":
		words := spec.Args
		if spec.Exec != spec.Interpreter && strings.HasPrefix(spec.Wrapper, "node ") {
			words = []string{spec.Exec}
		}
		i := slices.IndexFunc(words, scriptName)
		if i < 0 {
			break
		}
		script := quoteLine(words[i])
		if isTypeScript(words[i]) && spec.Wrapper != "node --watch" {
			script += ` --node-args "--import tsx"`
		}
		return "start the script itself: pace start " + script + tail
	}
	return example
}

// packageScript returns what `npm ARGS` runs, if package.json in dir says that
// it is node with a script and nothing that needs a shell.
func packageScript(dir string, args []string) (string, bool) {
	if len(args) > 0 && (args[0] == "run" || args[0] == "run-script") {
		args = args[1:]
	}
	if len(args) == 0 {
		return "", false
	}
	raw, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", false
	}
	var pkg struct {
		Scripts map[string]string `json:"scripts"`
	}
	if json.Unmarshal(raw, &pkg) != nil { // a remedy is not worth an error
		return "", false
	}
	line := pkg.Scripts[args[0]]
	words, shell, err := splitWords(line)
	if err != nil || shell || len(words) < 2 || words[0].text != "node" {
		return "", false
	}
	l := parseNode(texts(words[1:]))
	if l.mode != "" || len(l.rest) == 0 {
		return "", false
	}
	if len(l.flags) == 0 && len(l.rest) == 1 {
		return l.rest[0], true
	}
	return line, true
}

// quoteLine quotes text for a reader to paste, in double quotes where they do.
func quoteLine(text string) string {
	if q := quoteWord(text); q == text || strings.ContainsAny(text, "\"\\$`!") {
		return q
	}
	return `"` + text + `"`
}

// scriptName reports whether arg looks like a script of Node's.
func scriptName(arg string) bool {
	names := interpreters[strings.ToLower(filepath.Ext(arg))]
	return !strings.HasPrefix(arg, "-") && len(names) > 0 && names[0] == "node"
}
