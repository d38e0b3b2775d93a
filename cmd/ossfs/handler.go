package main

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/control"
)

// handler is what a session does for callers of its socket.
type handler struct{ x *session }

var _ control.Handler = (*handler)(nil)

func (h *handler) Status(context.Context) (any, error) { return h.x.report(), nil }

func (h *handler) Flush(ctx context.Context, path string, report func(control.Progress)) (control.Result, error) {
	result, err := h.x.flush(ctx, path, report)
	return result, plainly(err)
}

func (h *handler) Refresh(ctx context.Context, path string) error {
	return plainly(h.x.mount.Refresh(ctx, path))
}

// plainly is the failure of a path's lookup as the caller, who knows the path, is told it.
func plainly(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, unix.ENOTDIR):
		return unix.ENOTDIR
	default:
		return err
	}
}

// Unmount sends, unmounts, and answers when the session has sent what came in between. A mount that is
// in use stays as it is.
func (h *handler) Unmount(ctx context.Context, req control.UnmountRequest, report func(control.Progress)) (control.Result, error) {
	x := h.x
	if !req.Now {
		if _, err := x.flush(ctx, "", report); err != nil {
			return control.Result{}, err
		}
	}
	x.leaveUnsent(req.Now)
	detached, err := x.unmountNow(ctx, req.Lazy)
	if err != nil {
		x.leaveUnsent(false)
		return control.Result{}, err
	}
	if detached { // its users end it, whenever they are done
		return x.unsent(), nil
	}
	if req.Now {
		x.endNow(errTwice)
	}
	return x.await(ctx)
}

// Leave sends, has the caller unmount, and answers when the session has sent what came in between. It never goes near the
// mountpoint: while autofs expires a mount, the kernel has everybody wait there but who was sent to take it away. Where OSS
// does not answer, the rest is left to the next mount.
func (h *handler) Leave(ctx context.Context, req control.LeaveRequest, ready func(), report func(control.Progress)) (control.Result, error) {
	x := h.x
	answered, stop := x.whileAnswered(ctx)
	defer stop()
	var hurry error
	if req.Now {
		hurry = errTwice
	} else if _, err := x.flush(answered, "", report); err != nil {
		if hurry = context.Cause(answered); !errors.Is(hurry, errSilent) {
			return control.Result{}, err
		}
	}
	x.leaveUnsent(hurry != nil)
	ready()
	select {
	case <-x.unmounted:
	case <-ctx.Done(): // the caller could not unmount it
		x.leaveUnsent(false)
		return control.Result{}, ctx.Err()
	}
	if hurry != nil { // also when a signal had it end before
		x.endNow(hurry)
	}
	report(control.Progress{}) // the kernel has let go
	result, err := x.await(answered)
	if errors.Is(context.Cause(answered), errSilent) {
		hurry = errSilent
		x.endNow(hurry)
		result, err = x.await(ctx)
	}
	if result.Reason == "" && errors.Is(hurry, errSilent) {
		result.Reason = hurry.Error()
	}
	return result, err
}

// await is the result of a session that ends.
func (x *session) await(ctx context.Context) (control.Result, error) {
	select {
	case <-x.finished:
	case <-ctx.Done():
		return control.Result{}, ctx.Err()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.result, nil
}

// unmountNow asks the kernel to let go. Busy is a failure of its own kind, that names who holds it.
func (x *session) unmountNow(ctx context.Context, lazy bool) (detached bool, err error) {
	err = x.mount.Unmount(ctx)
	switch {
	case err == nil || x.isUnmounted():
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case lazy:
		return true, x.mount.Detach()
	case errors.Is(err, unix.EBUSY):
		text := "the mount is in use"
		if users := x.holders(); users != "" {
			text += " by " + users
		}
		return false, &control.Failure{Kind: control.KindBusy, Text: text}
	default:
		return false, err
	}
}
