package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/control"
)

// umountHelperName is what umount(8) calls for a mount of fuseType (umount(8), "EXTERNAL HELPERS").
const umountHelperName = "umount.fuse.ossfs"

// The exit statuses of umount(8), which hands on those of its helper.
const (
	helperRefused     = 1  // the command line, or the permission
	helperInterrupted = 8  // Ctrl-C: it is mounted as before
	helperFailed      = 32 // it is mounted as before
	helperUnsent      = 64 // it is unmounted; something is kept for the next mount
)

const (
	nowPatience = 10 * time.Second // for a mount that is not to send anything more
	endPatience = 5 * time.Second  // for the kernel to end a connection after umount2(2): a bind mount, or a copy in another namespace, keeps it
)

// umountHelper is one call by umount(8): it sends, shows how that goes, and takes the mount away. It never calls umount(8),
// which would call it.
type umountHelper struct {
	*console
	target   string
	lazy     bool
	force    bool
	readOnly bool // if it is in use

	mounted mountInfo
	gone    bool // from the target
}

// What ends the waiting of an umountHelper.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
	errElsewhere   = errors.New("it is mounted elsewhere, too, and goes on there")
	errReadOnly    = errors.New("it is in use, and read-only from now on")
)

// runUmountHelper is the program as umount(8) calls it: TARGET [-flnrv] [-N NAMESPACE] [-t TYPE].
func runUmountHelper(c *console, args []string) error {
	u := &umountHelper{console: c}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case len(arg) < 2 || arg[0] != '-':
			if u.target != "" {
				return umountf(helperRefused, "%s takes one target: umount /mnt", umountHelperName)
			}
			u.target = arg
		case (arg == "-N" || arg == "-t") && i+1 < len(args):
			if i++; arg == "-N" {
				return enterNamespace(args[i], append(args[:i-1:i-1], args[i+1:]...))
			}
		case strings.Trim(arg[1:], "flnrv") == "":
			u.force = u.force || strings.Contains(arg, "f")
			u.lazy = u.lazy || strings.Contains(arg, "l")
			u.readOnly = u.readOnly || strings.Contains(arg, "r")
		default:
			return umountf(helperRefused, "%s: no such option %s: it is for umount(8) to call: umount /mnt", umountHelperName, quoteIfNeeded(arg))
		}
	}
	if u.target == "" {
		return umountf(helperRefused, "%s takes a target: it is for umount(8) to call: umount /mnt", umountHelperName)
	}
	if err := completeEnvironment(); err != nil {
		return err
	}
	return u.run()
}

func umountf(status int, format string, args ...any) error { return newFailure(status, format, args) }

// run chooses the way. Nothing but the mount's own process can send; where that cannot be spoken to, the kernel is.
func (u *umountHelper) run() error {
	if err := u.find(); err != nil {
		return err
	}
	if u.lazy {
		return u.failed(detach(u.target))
	}
	entry, found, err := control.OpenRegistry().Find(u.target)
	if err != nil || !found {
		return u.unmountAlone()
	}
	ctx, stop := u.untilSignalled()
	defer stop()
	var result control.Result
	if !u.force {
		result, err = u.leave(ctx, entry, false)
	}
	if u.force || err != nil && errors.Is(context.Cause(ctx), errTerminated) { // a shutdown waits no longer
		patient, cancel := context.WithTimeout(context.Background(), nowPatience)
		defer cancel()
		result, err = u.leave(patient, entry, true)
	}
	return u.end(ctx, entry, result, err)
}

// find looks into the table of mounts, which asks nothing of the mount.
func (u *umountHelper) find() error {
	m, err := mountAt(filepath.Clean(u.target))
	if err == nil && m == nil { // called by hand, or by way of a link
		if u.target, err = resolveMountpoint(u.target); err == nil {
			m, err = mountAt(u.target)
		}
	}
	switch {
	case err != nil:
		return umountf(helperFailed, "umount %s: %w", u.target, reason(err))
	case m == nil:
		return umountf(helperFailed, "umount %s: not mounted", u.target)
	case m.fsType != fuseType:
		return umountf(helperRefused, "umount %s: it is %s on %s, no mount of ossfs: umount -i %s", u.target, m.source, m.fsType, u.target)
	}
	u.target, u.mounted = m.path, *m
	return nil
}

// untilSignalled is a context whose cause says which signal has ended it.
func (u *umountHelper) untilSignalled() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { // it ends with ctx
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				cancel(errTerminated)
			}
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// leave has the mount's process send, unmounts when that is done, and waits for what was closed in between.
func (u *umountHelper) leave(ctx context.Context, entry control.Entry, now bool) (control.Result, error) {
	client := control.NewClient(entry.Socket)
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	show := newProgress(u.err, "sending")
	defer show.end()
	elsewhere := time.AfterFunc(time.Hour, func() { cancel(errElsewhere) })
	elsewhere.Stop()
	result, err := client.Leave(ctx, control.LeaveRequest{Now: now}, func() error {
		if err := u.unmount(0); err != nil {
			return err
		}
		elsewhere.Reset(endPatience)
		return nil
	}, func(p control.Progress) {
		elsewhere.Stop()
		if !u.gone { // what comes then only says that the kernel has let go
			show.report(p)
		}
	})
	if err != nil && errors.Is(context.Cause(ctx), errElsewhere) {
		err = errElsewhere
	}
	return result, err
}

// end says how it went.
func (u *umountHelper) end(ctx context.Context, entry control.Entry, result control.Result, err error) error {
	var refused *failure
	switch {
	case errors.Is(err, errElsewhere), errors.Is(err, errReadOnly):
		fmt.Fprintf(u.err, "ossfs: umount %s: %v\n", u.target, err)
		return nil
	case errors.As(err, &refused):
		return err
	case err != nil && errors.Is(context.Cause(ctx), errInterrupted):
		return u.interrupted(entry)
	case err != nil:
		if failed := u.unmountAlone(); failed != nil {
			return failed
		}
		return umountf(helperUnsent, "umount %s: it is unmounted, but its process does not say whether everything is sent (%w): what is not is kept in %s, and sent by it or by the next mount of %s",
			u.target, err, entry.StateDir, entry.Source)
	}
	awaitExit(entry.PID)
	if err := reportResult("umount "+u.target, entry, result, ""); err != nil {
		return umountf(helperUnsent, "%w", err)
	}
	return nil
}

func (u *umountHelper) interrupted(entry control.Entry) error {
	how := "it is still mounted, and goes on sending"
	if u.gone {
		how = "it is unmounted, and its process goes on sending"
	}
	return umountf(helperInterrupted, "umount %s: stopped waiting: %s; what is unsent is safe in %s", u.target, how, entry.StateDir)
}

// unmount takes the mount away, once. What can be said of a failure is said by it.
func (u *umountHelper) unmount(flags int) error {
	if u.gone {
		return nil
	}
	err := unix.Unmount(u.target, flags|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		err = fusermountUnmount(u.target, "-u")
	}
	u.gone = err == nil
	if errors.Is(err, unix.EBUSY) && u.readOnly && remountReadOnly(u.mounted) == nil {
		return errReadOnly
	}
	return u.failed(err)
}

// failed is the failure of taking the mount away, as umount(8) puts it.
func (u *umountHelper) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		users := ""
		if by := holders(u.mounted.device); by != "" {
			users = ": in use by " + by
		}
		return umountf(helperFailed, "umount %s: target is busy%s", u.target, users)
	case errors.Is(err, unix.EINVAL): // somebody was quicker
		return umountf(helperFailed, "umount %s: not mounted", u.target)
	case errors.Is(err, unix.EPERM) || os.Geteuid() != 0:
		return umountf(helperRefused, "umount %s: it is another user's mount (%w): umount -i %s, or sudo umount %s", u.target, err, u.target, u.target)
	default:
		return umountf(helperFailed, "umount %s: %w", u.target, err)
	}
}

// unmountAlone is umount(8) as it is without a helper: for a mount whose process is gone, is not known here, or does not
// answer.
func (u *umountHelper) unmountAlone() error {
	if !u.gone && (isDead(u.target) || letGo(&u.mounted)) {
		if err := u.failed(detach(u.target)); err != nil {
			return err
		}
		return umountf(helperUnsent, "umount %s: it was dead and is removed; what it had not sent is kept, and sent by the next mount of %s", u.target, u.mounted.source)
	}
	flags := 0
	if u.force {
		flags = unix.MNT_FORCE
	}
	if err := u.unmount(flags); !errors.Is(err, errReadOnly) {
		return err
	}
	return nil
}

// remountReadOnly is for umount -r. What a remount does not repeat of the flags is dropped by the kernel.
func remountReadOnly(m mountInfo) error {
	var st unix.Statfs_t
	if err := unix.Statfs(m.path, &st); err != nil {
		return err
	}
	const kept = unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC | unix.ST_NOATIME | unix.ST_NODIRATIME // the same bits as of MS_
	return unix.Mount(m.source, m.path, "", unix.MS_REMOUNT|unix.MS_RDONLY|uintptr(st.Flags&kept), "")
}
