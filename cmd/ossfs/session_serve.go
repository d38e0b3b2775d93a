package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/ossfs/ossfs/internal/control"
)

const (
	exitFlushPatience = 5 * time.Second // for a second signal's cleaning up
	// exitSilence is how long OSS may not answer after a signal, or umount(8), has asked for the end. A shutdown takes the
	// network away from what was started in a login session, and would then wait for it in vain.
	exitSilence   = 10 * time.Second
	extendTimeout = "EXTEND_TIMEOUT_USEC=60000000"
)

// serve lasts as long as the mount: until somebody unmounts it, or a signal asks to end. It returns
// when all is sent that could be sent, and everything is closed.
func (x *session) serve() error {
	defer x.release()
	if x.early != nil {
		x.log.Info("ending", "signal", x.early.String())
		return x.finish(true)
	}
	for {
		select {
		case sig := <-x.signals:
			switch sig {
			case syscall.SIGHUP:
				x.reopenLog()
			case syscall.SIGUSR1:
				x.logReport()
			default:
				x.log.Info("ending", "signal", sig.String())
				return x.finish(true)
			}
		case <-x.unmounted:
			x.log.Info("unmounted; sending what is left", "mountpoint", x.place.path)
			return x.finish(false)
		}
	}
}

func (x *session) reopenLog() {
	if err := x.log.reopen(); err != nil {
		x.log.Error("the log file cannot be opened again", "err", err)
		return
	}
	x.log.Info("log re-opened")
}

// finish sends what is staged and takes the mount away. A second signal ends it at once, and so does OSS when it is silent
// after the first: the journal has the rest. After somebody else's umount the first one is still to come: a shutdown unmounts everything and
// then asks every process to end.
func (x *session) finish(unmount bool) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stopped := make(chan struct{})
	go func() { // it ends with finish, or before when it hurries it
		defer close(stopped)
		if err := x.hurry(ctx, unmount); err != nil {
			cancel(err)
		}
	}()
	show := newProgress(x.err, "sending")
	report := func(p control.Progress) {
		if _, isTerminal := terminal(x.err); isTerminal && !x.daemon {
			show.report(p)
		}
		_, _ = daemon.SdNotify(false, extendTimeout) // without systemd there is nobody to tell
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	result, err := x.drain(ctx, unmount, report)
	show.end()
	hurried := context.Cause(ctx)
	cancel(nil)
	<-stopped
	x.settle(result)
	switch {
	case hurried != nil && result.Unsent > 0:
		return unsentf("%s: %w: %d files (%s) are unsent: they are kept in %s, and sent by the next mount",
			x.source, hurried, result.Unsent, formatSize(result.UnsentBytes), x.dir)
	case err != nil && hurried == nil:
		return err
	case result.Unsent > 0:
		return reportResult("umount "+x.place.path, x.entry(), result, "")
	}
	return nil
}

// Why a session ends before everything is sent.
var (
	errTwice  = errors.New("ended at once")
	errSilent = errors.New("OSS does not answer")
)

// hurry waits for a reason to end before everything is sent; nil when ctx is done. asked says whether a signal has asked
// for the end already.
func (x *session) hurry(ctx context.Context, asked bool) error {
	since := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case sig := <-x.signals:
			switch {
			case sig == syscall.SIGHUP || sig == syscall.SIGUSR1:
			case asked:
				return errTwice
			default:
				x.log.Info("ending", "signal", sig.String())
				asked, since = true, time.Now()
			}
		case <-tick.C:
			if asked && x.silentSince(since) {
				return errSilent
			}
		case err := <-x.hurried:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// silentSince reports whether OSS has not answered for too long, counted from when the end was asked for.
func (x *session) silentSince(asked time.Time) bool {
	return min(x.reach.silence(), time.Since(asked)) >= exitSilence
}

// whileAnswered is a context that ends with errSilent when OSS does not answer for too long.
func (x *session) whileAnswered(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	since := time.Now()
	go func() { // it ends with ctx
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if x.silentSince(since) {
					cancel(errSilent)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// endNow has a session that is ending end before everything is sent.
func (x *session) endNow(why error) {
	select {
	case x.hurried <- why:
	default: // somebody was quicker
	}
}

// drain flushes, unmounts when the kernel has not let go yet, and flushes what came in between.
func (x *session) drain(ctx context.Context, unmount bool, report func(control.Progress)) (control.Result, error) {
	if unmount {
		if _, err := x.flush(ctx, "", report); err != nil && ctx.Err() == nil {
			x.log.Warn("sending what is staged", "err", err)
		}
		if err := x.unmountOrDetach(); err != nil {
			return x.unsent(), err
		}
	}
	if x.leavesUnsent() {
		return x.unsent(), nil
	}
	return x.flush(ctx, "", report)
}

// unmountOrDetach takes the mount away though somebody uses it: whoever asked wants to end.
func (x *session) unmountOrDetach() error {
	ctx, cancel := context.WithTimeout(context.Background(), exitFlushPatience)
	defer cancel()
	err := x.mount.Unmount(ctx)
	if err == nil || x.isUnmounted() {
		return nil
	}
	if users := x.holders(); users != "" {
		x.log.Warn("the mount is in use and is detached", "by", users)
	}
	if err := x.mount.Detach(); err != nil {
		return failf("umount %s: %w", x.place.path, err)
	}
	return nil
}

func (x *session) holders() string {
	m, err := mountAt(x.place.path)
	if err != nil || m == nil {
		return ""
	}
	return holders(m.device)
}

// settle makes the result final for those who wait for the end.
func (x *session) settle(r control.Result) {
	x.mu.Lock()
	x.result = r
	x.mu.Unlock()
	close(x.finished)
}

// leaveUnsent says whether the session is to end without waiting for what is unsent.
func (x *session) leaveUnsent(now bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now = now
}

func (x *session) leavesUnsent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.now
}

func (x *session) entry() control.Entry {
	return control.Entry{PID: os.Getpid(), Source: x.source.String(), Mountpoint: x.place.path, StateDir: x.dir}
}
