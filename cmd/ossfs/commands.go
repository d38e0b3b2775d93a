package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// command is one word after "ossfs".
type command struct {
	name  string
	usage string // what follows the name
	short string // one line for the list of commands
	long  string // what --help says above the flags; may be empty
	setup func(flags *pflag.FlagSet) runner

	hidden bool // from the list of commands
}

// runner does a command's work with the flags that its setup defined.
type runner func(inv *invocation) error

// invocation is one call of a command.
type invocation struct {
	*console
	args []string // what is no flag
	rest []string // what follows "--"; nil when there is none
	raw  []string // the arguments as they were
}

// signals is a context that ends at the first SIGINT or SIGTERM, for commands that only wait.
func (inv *invocation) signals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
}

// commands is the table of all commands, in the order of the help.
func commands() []command {
	return []command{
		mountCommand(),
		umountCommand(),
		flushCommand(),
		statusCommand(),
		uploadsCommand(),
		doctorCommand(),
		demoCommand(),
		versionCommand(),
		generateCommand(),
	}
}

func runCommand(c *console, name string, args []string) error {
	all := commands()
	names := make([]string, 0, len(all))
	for _, cmd := range all {
		if cmd.name == name {
			return cmd.run(c, args)
		}
		if !cmd.hidden {
			names = append(names, cmd.name)
		}
	}
	if near := nearest(name, names); near != "" && !strings.Contains(name, ":") {
		return usagef("no such command %q: did you mean %q?", name, near)
	}
	if looksMounted(args) { // ossfs 1.x and s3fs have no commands: BUCKET[:/PATH] MOUNTPOINT
		return usagef("no such command %q: a bucket is mounted by ossfs mount %s MOUNTPOINT", name, suggestSource(name))
	}
	if strings.HasPrefix(name, "-") {
		return usagef("%s: a command comes first: ossfs mount %s ...", name, name)
	}
	return usagef("no such command %q: ossfs help lists them", name)
}

// looksMounted reports whether what follows a first word is a mountpoint.
func looksMounted(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], "/")
}

func (cmd command) run(c *console, args []string) error {
	flags := newFlagSet(cmd.name)
	work := cmd.setup(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			cmd.help(c.out, flags)
			return nil
		}
		return flagError(cmd.name, flags, err)
	}
	if err := applyEnvironment(flags); err != nil {
		return err
	}
	if err := applyConfig(flags); err != nil {
		return err
	}
	inv := &invocation{console: c, args: flags.Args(), raw: args}
	if dash := flags.ArgsLenAtDash(); dash >= 0 {
		inv.args, inv.rest = inv.args[:dash], inv.args[dash:]
	}
	return work(inv)
}

// newFlagSet is an empty set in which "_" may stand for "-", as mount options are often spelled.
func newFlagSet(name string) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	return flags
}

func (cmd command) help(w io.Writer, flags *pflag.FlagSet) {
	fmt.Fprintf(w, "usage: ossfs %s %s\n\n%s.\n", cmd.name, cmd.usage, upperFirst(cmd.short))
	if cmd.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.long))
	}
	fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsagesWrapped(terminalWidth(w)))
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "ossfs mounts an Alibaba Cloud OSS bucket as a filesystem.\n\n")
	for _, cmd := range commands() {
		if cmd.hidden {
			continue
		}
		fmt.Fprintf(w, "  ossfs %-8s %-58s %s\n", cmd.name, cmd.usage, cmd.short)
	}
	fmt.Fprint(w, "\nossfs help COMMAND shows a command's flags. Try: ossfs demo\n")
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
