package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

const mountName = "mount"

func mountCommand() command {
	return command{
		name:  mountName,
		usage: "[flags] oss://BUCKET[/PREFIX] MOUNTPOINT",
		short: "mount; returns when the mount answers",
		long: "Credentials come from the environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET), from the files of\n" +
			"Alibaba Cloud's tools, or from the instance's role; never from the command line. Each flag is also a\n" +
			"mount option (-o attr_ttl=5m) and an environment variable (OSSFS_ATTR_TTL=5m).\n" +
			"SIZE is 64MiB, 1G, 2GB, ...; DUR is 500ms, 30s, 1m30s, ...",
		setup: func(flags *pflag.FlagSet) runner {
			s := new(settings)
			s.define(flags)
			return func(inv *invocation) error {
				if err := mountArguments(inv.args); err != nil {
					return err
				}
				return mount(inv, s, inv.args[0], inv.args[1])
			}
		},
	}
}

func mountArguments(args []string) error {
	switch len(args) {
	case 2:
		return nil
	case 0:
		return usagef("mount what, and where? ossfs mount oss://BUCKET /mnt")
	case 1:
		if strings.HasPrefix(args[0], "/") { // ossfs 2 has the bucket in a file
			return usagef("mount what on %s? ossfs mount oss://BUCKET %s", quoteIfNeeded(args[0]), quoteIfNeeded(args[0]))
		}
		return usagef("mount %s where? ossfs mount %s /mnt", quoteIfNeeded(args[0]), quoteIfNeeded(args[0]))
	default:
		return usagef("mount takes a bucket and a mountpoint, and was given %q besides", args[2])
	}
}

// runMountHelper is the program as mount(8) calls it: SOURCE TARGET [-sfnv] [-o OPTIONS] [-t TYPE]
// (mount(8), "EXTERNAL HELPERS").
func runMountHelper(c *console, args []string) error {
	var (
		positional, own []string
		fake            bool
	)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			positional = append(positional, arg)
			continue
		}
		switch {
		case arg == "-o" || arg == "-t" || arg == "-N":
			if i++; i == len(args) {
				return usagef("%s needs a value", arg)
			}
			if arg == "-o" {
				own = append(own, "-o", args[i])
			}
		case strings.Trim(arg[1:], "sfnv") == "":
			fake = fake || strings.Contains(arg, "f")
			if strings.Contains(arg, "s") { // it must come before the options it is about
				own = append([]string{"--sloppy"}, own...)
			}
		default:
			own = append(own, arg)
		}
	}
	if err := completeEnvironment(); err != nil {
		return err
	}
	if len(positional) > 0 {
		positional[0] = strings.TrimPrefix(positional[0], "ossfs#")
	}
	if fake {
		own = append(own, "--fake")
	}
	return runCommand(c, mountName, append(own, positional...))
}

// mount is the daemon's parent, the daemon itself, or the mount in the foreground.
func mount(inv *invocation, s *settings, sourceText, target string) error {
	src, err := parseSource(sourceText)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if s.fake {
		return nil
	}
	if isDescriptor(target) && !s.foreground {
		return usagef("mountpoint %s: an open descriptor cannot be handed to a daemon: mount with --foreground", target)
	}
	p := takeParent()
	if p == nil && !s.foreground {
		return startDaemon(inv.console)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	x, err := openSession(sessionOptions{settings: s, source: src, target: target, daemon: p != nil, console: inv.console, signals: signals})
	if p != nil {
		return serveDaemon(p, x, err)
	}
	if err != nil {
		return err
	}
	for _, warning := range x.warnings {
		x.log.Warn(warning)
	}
	return x.serve()
}

// serveDaemon tells the parent how the mount went, and then serves it without a terminal.
func serveDaemon(p *parent, x *session, failed error) error {
	if failed != nil {
		err := p.tell(verdict{Status: statusOf(failed), Text: failed.Error()})
		return errors.Join(&exitStatus{statusOf(failed)}, err)
	}
	if err := p.tell(verdict{Warnings: x.warnings}); err != nil {
		x.log.Warn("the process that started this mount is gone", "err", err)
	}
	if err := os.Chdir("/"); err != nil { // else the directory it was started in stays busy
		x.log.Warn("cannot leave the directory of the start", "err", err)
	}
	err := x.serve()
	if err == nil {
		return nil
	}
	x.log.Error(fmt.Sprintf("the mount ended: %v", err))
	return &exitStatus{statusOf(err)}
}
