package clidoc

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Program is a command line: what all documents are made from.
type Program struct {
	Version  string
	Date     time.Time // of the program; pages carry it
	Commands []Command
	Options  []Option // of mount -o, beside the long flags
	Keys     []Flag   // of the configuration file
}

// Command is one word after the program's name.
type Command struct {
	Name, Usage string
	Short, Long string
	Arguments   []Argument
	Flags       []Flag
}

// Option is mount options that are no flags and have one meaning.
type Option struct{ Names, Text string } // names with spaces between them

// Argument is the kind of a positional argument, for completion.
type Argument string

// The kinds of arguments. Any other is a choice of words: "list|abort".
const (
	Source    Argument = "source"    // of a mount: nothing can be offered
	Directory Argument = "directory" // to mount on
	Mounted   Argument = "mounted"   // where something is mounted
	Path      Argument = "path"
)

// Words are the words of an argument that is a choice.
func (a Argument) Words() string {
	if strings.Contains(string(a), "|") {
		return strings.ReplaceAll(string(a), "|", " ")
	}
	return ""
}

// Flag is a flag as its set defines it.
type Flag struct {
	Name, Short string
	Value       string // placeholder; empty: it takes none
	Text        string // what it does, without the default
	Default     string // as it would be written; empty: there is none, or Fallback tells of it
	Fallback    string // what holds when nothing is said, in words
	Environment string // the variables that stand for it, with commas
}

// isChoice matches placeholders that list all words a flag takes: auto|virtual|path.
var isChoice = regexp.MustCompile(`^[a-z0-9-]+(\|[a-z0-9-]+)+$`)

// Words are the words that a flag takes, when these are all.
func (f Flag) Words() string {
	if isChoice.MatchString(f.Value) {
		return strings.ReplaceAll(f.Value, "|", " ")
	}
	return ""
}

// Option is the flag's name as -o spells it.
func (f Flag) Option() string { return strings.ReplaceAll(f.Name, "-", "_") }

// defaultText matches a default that a usage text ends with, for those that are no constants.
var defaultText = regexp.MustCompile(`^(.*) \(default: (.*)\)$`)

// FlagsOf lists the flags of a set that are not hidden. environment says which variables stand for a
// flag.
func FlagsOf(set *pflag.FlagSet, environment func(name string) []string) []Flag {
	var list []Flag
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		one := Flag{Name: f.Name, Short: f.Shorthand, Value: value, Text: text, Default: f.DefValue}
		if m := defaultText.FindStringSubmatch(text); m != nil {
			one.Text, one.Default, one.Fallback = m[1], "", m[2]
		}
		if one.Default == "0s" {
			one.Default = ""
		}
		if f.Value.Type() == "bool" {
			one.Value, one.Default = "", ""
		}
		one.Environment = strings.Join(environment(f.Name), ", ")
		list = append(list, one)
	})
	return list
}

// Own lists a command's flags that the first command does not have.
func (p Program) Own(c Command) []Flag {
	return p.flags(c, func(known bool) bool { return !known })
}

// Shared lists a command's flags that the first command has too.
func (p Program) Shared(c Command) []Flag {
	return p.flags(c, func(known bool) bool { return known })
}

// flags selects flags of a command by whether the first command knows them; those of the first itself
// are its own.
func (p Program) flags(c Command, wanted func(known bool) bool) []Flag {
	first := p.Commands[0]
	var list []Flag
	for _, f := range c.Flags {
		known := c.Name != first.Name && slices.ContainsFunc(first.Flags, func(o Flag) bool { return o.Name == f.Name && o.Text == f.Text })
		if wanted(known) {
			list = append(list, f)
		}
	}
	return list
}
