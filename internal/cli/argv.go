package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// normalise brings PM2's ways to write a command line into the one that cobra
// reads: the command first (`pace -i 4 start x`), and a negative number that is
// an argument apart from the options (`pace scale api -1`). What follows "--"
// stays as it is. An unknown command is an error here.
func normalise(root *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args, nil // the shell's own request, whose words are unfinished
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(append([]string{}, args[1:]...), "--help")
	}
	head, tail := args, []string(nil)
	for i, a := range args {
		if a == "--" {
			head, tail = args[:i], args[i:]
			break
		}
	}
	values := valueFlags(root)
	at := -1 // of the command
	for i := 0; i < len(head) && at < 0; i++ {
		switch {
		case !isFlag(head[i]):
			at = i
		case values.takesNext(head[i]):
			i++
		case mayTakeNext(root, head[i]) && i+1 < len(head) && !isFlag(head[i+1]) && find(root, head[i+1]) == nil:
			i++
		}
	}
	if at < 0 {
		return args, nil
	}
	word := head[at]
	cmd := find(root, word)
	if cmd == nil {
		return nil, unknownCommand(root, word)
	}
	rest := append(append([]string{}, head[:at]...), head[at+1:]...)
	if cmd.Name() == "scale" {
		rest, tail = shield(values, rest, tail)
	}
	rest = join(cmd, values, rest)
	return append(append([]string{word}, rest...), tail...), nil
}

// shield moves the arguments behind "--", so that "-1" is one of them.
func shield(values flagSet, head, tail []string) (flags, words []string) {
	words = []string{"--"}
	for i := 0; i < len(head); i++ {
		_, notNumber := strconv.Atoi(head[i])
		if !isFlag(head[i]) || notNumber == nil {
			words = append(words, head[i])
			continue
		}
		flags = append(flags, head[i])
		if values.takesNext(head[i]) && i+1 < len(head) {
			i++
			flags = append(flags, head[i])
		}
	}
	if len(tail) > 0 {
		words = append(words, tail[1:]...)
	}
	return flags, words
}

// join gives an option whose value is optional the next word, if that is one and
// not the only word there is: `start app.js --watch src`, but `start --watch app.js`.
// Commands that need no word give it the only one as well: `logs --highlight error`.
func join(cmd *cobra.Command, values flagSet, words []string) []string {
	alone, greedy := optionalFlags(cmd)
	if len(alone) == 0 {
		return words
	}
	left := 0 // words that are no options' values
	for i := 0; i < len(words); i++ {
		if !isFlag(words[i]) {
			left++
		} else if values.takesNext(words[i]) {
			i++
		}
	}
	var out []string
	for i := 0; i < len(words); i++ {
		out = append(out, words[i])
		switch {
		case !isFlag(words[i]) || i+1 == len(words):
		case values.takesNext(words[i]):
			i++
			out = append(out, words[i])
		case alone[words[i]] && (left > 1 || greedy) && !isFlag(words[i+1]):
			i++
			left--
			out[len(out)-1] += "=" + words[i]
		}
	}
	return out
}

// optionalFlags are the options of a command whose value is optional. greedy: they take
// the next word also if it is the only one.
func optionalFlags(cmd *cobra.Command) (alone map[string]bool, greedy bool) {
	alone = map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if how, ok := f.Annotations[mayBeAlone]; ok {
			greedy = greedy || len(how) > 0
			alone["--"+f.Name] = true
			if f.Shorthand != "" {
				alone["-"+f.Shorthand] = true
			}
		}
	})
	return alone, greedy
}

// mayTakeNext tells whether the option has an optional value in any command.
func mayTakeNext(root *cobra.Command, word string) bool {
	return slices.ContainsFunc(root.Commands(), func(cmd *cobra.Command) bool {
		alone, _ := optionalFlags(cmd)
		return alone[word]
	})
}

func find(root *cobra.Command, word string) *cobra.Command {
	for _, cmd := range root.Commands() {
		if cmd.Name() == word || cmd.HasAlias(word) {
			return cmd
		}
	}
	return nil
}

// isFlag tells an option from a word; "-" is a word.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// flagSet tells which options of any command take a value: by name, and by
// letter. A test holds that no two commands disagree, but for --format, which has a
// value only behind its command.
type flagSet map[string]bool

func valueFlags(root *cobra.Command) flagSet {
	values := flagSet{}
	add := func(f *pflag.Flag) {
		takes := f.NoOptDefVal == "" && f.Name != "format"
		values["--"+f.Name] = takes
		if f.Shorthand != "" {
			values["-"+f.Shorthand] = takes
		}
	}
	root.PersistentFlags().VisitAll(add)
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(add)
	}
	return values
}

// takesNext tells whether the word after an option is its value.
func (f flagSet) takesNext(word string) bool {
	if strings.HasPrefix(word, "--") {
		return f[word] // "--name=x" is not in the set
	}
	for i, letter := range word[1:] { // "-fi 4": each letter is an option until one takes a value
		if f["-"+string(letter)] {
			return 1+i+len(string(letter)) == len(word)
		}
	}
	return false
}
