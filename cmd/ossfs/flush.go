package main

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/internal/control"
)

func flushCommand() command {
	return command{
		name:  "flush",
		usage: "[flags] PATH",
		short: "wait until the bucket has all below PATH",
		long:  "What failed before is tried again. Exit status 3 means that something could not be sent; it is kept.",
		setup: func(flags *pflag.FlagSet) runner {
			refresh := flags.Bool("refresh", false, "afterwards forget what was listed below PATH, to see at once what others changed")
			return func(inv *invocation) error {
				if len(inv.args) != 1 {
					return usagef("flush takes one PATH in a mount: ossfs flush /mnt/backup")
				}
				return flush(inv, inv.args[0], *refresh)
			}
		},
	}
}

func flush(inv *invocation, target string, refresh bool) error {
	path, err := resolveMountpoint(target)
	if err != nil {
		return failf("flush %s: %w", target, reason(err))
	}
	entry, below, found, err := control.OpenRegistry().Containing(path)
	switch {
	case err != nil:
		return failf("flush %s: %w", path, err)
	case !found:
		return failf("flush %s: it lies in no mount of ossfs: ossfs status lists the mounts", path)
	}
	client := control.NewClient(entry.Socket)
	defer client.Close()
	ctx, stop := inv.signals()
	defer stop()
	show := newProgress(inv.err, "sending")
	result, err := client.Flush(ctx, below, show.report)
	show.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted(entry, show)
	case errors.Is(err, os.ErrPermission):
		return failf("flush %s: it is another user's mount: sudo ossfs flush %s", path, path)
	case err != nil:
		return failf("flush %s: %w", path, err)
	}
	if err := reportResult("flush "+path, entry, result, " or by ossfs flush"); err != nil || !refresh {
		return err
	}
	if err := client.Refresh(ctx, below); err != nil {
		return failf("refresh %s: %w", path, err)
	}
	return nil
}
