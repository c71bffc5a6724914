package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// quote makes one word of a POSIX shell's of any text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// place writes a path, whose "~/" is the home folder there.
func place(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return `"$HOME"/` + quote(rest)
	}
	return quote(path)
}

// hook runs a command line as the user's own shell would: what their configuration
// of PATH gives is there, as sshd has that shell run the whole script.
func hook(name, line string) string {
	if strings.TrimSpace(line) == "" {
		return ""
	}
	return "say " + quote(name) + "\n\"${SHELL:-/bin/sh}\" -c " + quote(line) + " || fail " + quote(name+" failed") + "\n"
}

// head is what every script begins with.
func (c *Config) head() string {
	var b strings.Builder
	b.WriteString("set -eu\n")
	b.WriteString("say() { printf '%s\\n' \"--> $1\"; }\n")
	b.WriteString("fail() { printf '%s\\n' \"$1\" >&2; exit 1; }\n")
	b.WriteString("path=" + place(c.Path) + "\n")
	for _, key := range slices.Sorted(maps.Keys(c.Env)) {
		fmt.Fprintf(&b, "export %s=%s\n", key, quote(string(c.Env[key])))
	}
	return b.String()
}

// inSource goes to the checkout, which setup has made.
const inSource = `[ -e "$path/source/.git" ] || fail "$path is not set up; run the command setup first"
cd "$path/source"
`

// checkout sets the checkout to the commit that ref means: the origin's branch of that
// name goes first, since a local one does not move.
func checkout(ref string) string {
	return "ref=" + quote(ref) + `
commit=$(git rev-parse -q --verify "refs/remotes/origin/$ref^{commit}" || git rev-parse -q --verify "$ref^{commit}") ||
	fail "there is no branch, tag or commit $ref in the repository"
git reset -q --hard "$commit"
`
}

func (c *Config) setup() string {
	clone := "git clone"
	if c.Fetch == "fast" {
		clone += " --depth=5 --branch " + quote(strings.TrimPrefix(c.Ref, "origin/"))
	}
	return c.head() + hook("pre-setup", c.PreSetup) + `
[ ! -e "$path/source" ] || fail "$path/source is there already; update deploys to it"
mkdir -p "$path/shared/logs" "$path/shared/pids"
say 'clone'
` + clone + " -- " + quote(c.Repo) + ` "$path/source"
ln -sfn "$path/source" "$path/current"
cd "$path/source"
` + checkout(c.Ref) + hook("post-setup", c.PostSetup) + "say 'set up'\n"
}

// update deploys ref, or what the shell's variable $target holds if ref is "".
func (c *Config) update(ref, before string) string {
	fetch := "git fetch --all --tags"
	if c.Fetch == "fast" {
		fetch = "git fetch --depth=5 --all --tags"
	}
	set := checkout(ref)
	if ref == "" {
		set = "git reset -q --hard \"$target\"\n"
	}
	return c.head() + inSource + before + hook("pre-deploy", c.PreDeploy) +
		"say 'fetch'\n" + fetch + "\n" + set + `ln -sfn "$path/source" "$path/current"
` + hook("post-deploy", c.PostDeploy) + `git rev-parse --short HEAD >> "$path/.deploys"
say "deployed $(git log -1 --format='%h %s')"
`
}

// nth puts the deployed commit of n deployments ago into $target.
func nth(n int) string {
	return fmt.Sprintf(`count=0
[ ! -f "$path/.deploys" ] || count=$(($(wc -l < "$path/.deploys")))
[ "$count" -gt %d ] || fail "there are $count deployments, and none %d before the last"
target=$(tail -n %d "$path/.deploys" | head -n 1)
`, n, n, n+1)
}

func (c *Config) revert(n int) string { return c.update("", nth(n)) }

func (c *Config) show(n int) string {
	return c.head() + inSource + nth(n) + "printf '%s\\n' \"$target\"\n"
}

func (c *Config) list() string {
	return c.head() + inSource + `[ ! -f "$path/.deploys" ] || while read -r commit; do
	git log -1 --format='%h %ci %s' "$commit" 2>/dev/null || printf '%s\n' "$commit"
done < "$path/.deploys"
`
}

func (c *Config) exec(line string) string {
	return c.head() + "cd \"$path/current\" || fail \"$path is not set up; run the command setup first\"\nexec \"${SHELL:-/bin/sh}\" -c " + quote(line) + "\n"
}

func (c *Config) console() string {
	return c.head() + "cd \"$path/current\" || fail \"$path is not set up; run the command setup first\"\nexec \"${SHELL:-/bin/sh}\"\n"
}
