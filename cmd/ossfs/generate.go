package main

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/internal/clidoc"
)

// generateCommand writes the manual pages, completions and the sample configuration; packages are made
// with it.
func generateCommand() command {
	return command{
		name:   "generate",
		usage:  "DOCUMENT",
		short:  "write a manual page, a completion or a sample configuration",
		hidden: true,
		setup: func(*pflag.FlagSet) runner {
			return func(inv *invocation) error {
				names, err := clidoc.Documents()
				if err != nil {
					return failf("generate: %w", err)
				}
				if len(inv.args) != 1 || !slices.Contains(names, inv.args[0]) {
					return usagef("generate takes one of: %s", strings.Join(names, ", "))
				}
				w := bufio.NewWriter(inv.out)
				if err := describeProgram().Write(w, inv.args[0]); err != nil {
					return failf("generate %s: %w", inv.args[0], err)
				}
				return w.Flush()
			}
		},
	}
}

// describe is this command line in the words of package clidoc.
func describeProgram() clidoc.Program {
	p := clidoc.Program{Version: readBuild().Version, Date: buildDate()}
	for _, cmd := range commands() {
		if cmd.hidden {
			continue
		}
		flags := newFlagSet(cmd.name)
		cmd.setup(flags)
		p.Commands = append(p.Commands, clidoc.Command{
			Name: cmd.name, Usage: cmd.usage, Short: cmd.short, Long: cmd.long,
			Arguments: argumentsOf(cmd.name), Flags: clidoc.FlagsOf(flags, environmentOf),
		})
	}
	for _, o := range genericOptions() {
		p.Options = append(p.Options, clidoc.Option(o))
	}
	for _, f := range p.Commands[0].Flags {
		if f.Name != configFlag && f.Name != optionsFlag {
			p.Keys = append(p.Keys, f)
		}
	}
	return p
}

func environmentOf(flag string) []string {
	if flag == optionsFlag {
		return nil
	}
	return environmentNames(flag)
}

// argumentsOf says what completion offers for a command's arguments.
func argumentsOf(command string) []clidoc.Argument {
	switch command {
	case mountName:
		return []clidoc.Argument{clidoc.Source, clidoc.Directory}
	case "umount", "status":
		return []clidoc.Argument{clidoc.Mounted}
	case "flush":
		return []clidoc.Argument{clidoc.Path}
	case "uploads":
		return []clidoc.Argument{"list|abort", clidoc.Source}
	case "doctor":
		return []clidoc.Argument{clidoc.Source}
	case demoName:
		return []clidoc.Argument{clidoc.Directory}
	}
	return nil
}

// buildDate is the day that pages carry: the commit's, else SOURCE_DATE_EPOCH, else today.
func buildDate() time.Time {
	if t, err := time.Parse(time.RFC3339, readBuild().Date); err == nil {
		return t
	}
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	return time.Now()
}

// genericOption is options of mount(8) or of libfuse with one meaning, and what they do here.
type genericOption struct{ Names, Text string }

func genericOptions() []genericOption {
	return []genericOption{
		{"ro", "the same as read_only"},
		{"rw", "changes are allowed; the default"},
		{"allow_other", "let other users in, as the modes allow; users other than root need user_allow_other in /etc/fuse.conf"},
		{"nosuid nodev noexec exec sync async dirsync noatime relatime nodiratime", "as in mount(8): the kernel sees to it"},
		{"suid dev lazytime", "passed over: a mount is always nosuid and nodev"},
		{"defaults auto noauto user users nouser nofail _netdev", "for mount(8), systemd and fstab; they ask nothing of ossfs"},
		{"default_permissions", "it is always so"},
		{"nonempty", "it is always so; a mountpoint that is not empty is worth a warning"},
	}
}
