package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/control"
)

const exitPatience = 10 * time.Second // for a process that has nothing more to do

func umountCommand() command {
	return command{
		name:  "umount",
		usage: "[flags] MOUNTPOINT",
		short: "send what is staged, then unmount",
		long: "Ctrl-C ends the waiting and leaves the mount as it is; nothing is lost by it. Exit status 3 means\n" +
			"that something could not be sent: it is kept, and sent by the next mount of the same source.\n" +
			"umount(8) of a line of fstab with _netdev, and so a shutdown, does the same through its helper\n" +
			"umount.fuse.ossfs, but does not wait once OSS has not answered for ten seconds, nor after SIGTERM.\n" +
			"There -f is --now, and -l detaches without sending first; 64 stands for status 3, and 32 for 1.",
		setup: func(flags *pflag.FlagSet) runner {
			lazy := flags.BoolP("lazy", "l", false, "detach though the mount is in use")
			now := flags.Bool("now", false, "do not wait for what is unsent: the next mount sends it")
			return func(inv *invocation) error {
				if len(inv.args) != 1 {
					return usagef("umount takes one MOUNTPOINT: ossfs umount /mnt")
				}
				return umount(inv, inv.args[0], control.UnmountRequest{Lazy: *lazy, Now: *now})
			}
		},
	}
}

func umount(inv *invocation, target string, req control.UnmountRequest) error {
	path, err := resolveMountpoint(target)
	if err != nil {
		return failf("umount %s: %w", target, reason(err))
	}
	entry, found, err := control.OpenRegistry().Find(path)
	if err != nil {
		return failf("umount %s: %w", path, err)
	}
	if !found {
		return umountOrphan(inv, path)
	}
	client := control.NewClient(entry.Socket)
	defer client.Close()
	ctx, stop := inv.signals()
	defer stop()
	show := newProgress(inv.err, "sending")
	result, err := client.Unmount(ctx, req, show.report)
	show.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted(entry, show)
	case control.IsGone(err):
		return umountOrphan(inv, path)
	case err != nil:
		return umountFailed(path, err)
	}
	if !req.Lazy {
		awaitExit(entry.PID)
	}
	return reportResult("umount "+path, entry, result, "")
}

// interrupted says where things stand after Ctrl-C.
func interrupted(e control.Entry, show *progress) error {
	left := ""
	if show.last.Files > 0 {
		left = fmt.Sprintf(", %d files (%s) left", show.last.Files, formatSize(show.last.Bytes))
	}
	return unsentf("stopped waiting%s: they are safe in %s, and the mount goes on sending them", left, e.StateDir)
}

func umountFailed(path string, err error) error {
	var f *control.Failure
	switch {
	case errors.As(err, &f) && f.Kind == control.KindBusy:
		return failf("umount %s: %s: end it, or ossfs umount --lazy %s", path, f.Text, path)
	case errors.Is(err, os.ErrPermission):
		return failf("umount %s: it is another user's mount: sudo ossfs umount %s", path, path)
	default:
		return failf("umount %s: %w", path, err)
	}
}

// umountOrphan is for a mountpoint that no living ossfs has registered.
func umountOrphan(inv *invocation, path string) error {
	m, err := mountAt(path)
	switch {
	case err != nil:
		return err
	case m == nil:
		return notMounted(path)
	case m.fsType != fuseType:
		return failf("umount %s: it is %s on %s, no mount of ossfs: umount %s", path, m.source, m.fsType, path)
	case !isDead(path) && !letGo(m):
		return failf("umount %s: its process is not known here (another container or runtime directory?): umount %s", path, path)
	}
	if err := detach(path); err != nil {
		return failf("umount %s: the mount is dead and cannot be removed: %w", path, err)
	}
	fmt.Fprintf(inv.err, "ossfs: %s was dead and is removed; what it had not sent is kept, and sent by the next mount of %s\n", path, m.source)
	return nil
}

// notMounted says of a path that is no mountpoint which mount it lies in, if it does.
func notMounted(path string) error {
	entry, _, found, err := control.OpenRegistry().Containing(path)
	if err != nil || !found {
		return failf("umount %s: nothing is mounted there: ossfs status lists the mounts", path)
	}
	return failf("umount %s: it is no mountpoint, and lies in the mount of %s: ossfs umount %s", path, entry.Source, entry.Mountpoint)
}

// reportResult is the end of a flush or an unmount; also is what else than the next mount sends the rest.
func reportResult(what string, e control.Entry, r control.Result, also string) error {
	if r.Unsent == 0 {
		return nil
	}
	why := ""
	if r.Reason != "" {
		why = " (" + r.Reason + ")"
	}
	return unsentf("%s: %d files (%s) could not be sent%s: they are kept in %s, and sent by the next mount of %s%s",
		what, r.Unsent, formatSize(r.UnsentBytes), why, e.StateDir, e.Source, also)
}

// awaitExit waits until the mount's process is gone, so that what follows finds its lock free.
func awaitExit(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // gone already
		return
	}
	defer unix.Close(fd)
	ctx, cancel := context.WithTimeout(context.Background(), exitPatience)
	defer cancel()
	for ctx.Err() == nil {
		deadline, _ := ctx.Deadline()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds())+1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
