package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/control"
	"github.com/ossfs/ossfs/internal/lockfile"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	socketName     = "socket"
	crashName      = "crash.log"
	closePatience  = 15 * time.Second // for what is in flight when nothing more is to be sent
	socketPatience = 2 * time.Second  // for callers that read their last answer
	memoryOverhead = 256 << 20        // bytes beside the budget: code, stacks, listings
	inodeMemory    = 2 << 10          // bytes of an inode
)

// sessionOptions is what a session is made of.
type sessionOptions struct {
	*console
	settings *settings
	source   source
	target   string
	daemon   bool
	signals  <-chan os.Signal // closed by nobody; SIGINT, SIGTERM, SIGHUP and SIGUSR1
	observer func(ossclient.Event)
}

// session is one mount, from the first check to the last byte sent.
type session struct {
	sessionOptions
	place    place
	dir      string // of the state
	warnings []string
	early    os.Signal // that came when the mount was as good as open; nil: none
	log      *logOutput
	bucket   *ossclient.Bucket
	mount    *fs.Mount
	server   *control.Server
	metrics  *metricsServer
	traffic  traffic
	reach    reach
	started  time.Time
	forget   func() // takes the mount out of the registry

	key              ossclient.Credentials // nil: anonymous
	closeCredentials func()

	unmounted chan struct{} // closed when the kernel has let go
	finished  chan struct{} // closed when result is final
	hurried   chan error    // has room for one reason to end before everything is sent

	mu     sync.Mutex // guards the fields below
	now    bool       // end without waiting for what is unsent
	result control.Result
}

// openSession does all that can fail before the mount answers.
func openSession(o sessionOptions) (*session, error) {
	x := &session{
		sessionOptions: o,
		started:        time.Now(),
		unmounted:      make(chan struct{}),
		finished:       make(chan struct{}),
		hurried:        make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	interrupted := x.interruptible(cancel)
	err := x.open(ctx)
	x.early = interrupted()
	if x.early != nil && err != nil {
		err = failf("mounting %s: stopped by %v", o.source, x.early)
	}
	if err != nil {
		x.release()
		return nil, err
	}
	return x, nil
}

// interruptible cancels the opening at a signal. The function it returns ends the watch and tells of
// the signal.
func (x *session) interruptible(cancel context.CancelFunc) func() os.Signal {
	done, seen := make(chan struct{}), make(chan os.Signal, 1)
	go func() {
		defer close(seen)
		for {
			select {
			case sig := <-x.signals:
				if sig == syscall.SIGHUP || sig == syscall.SIGUSR1 {
					continue
				}
				seen <- sig
				cancel()
				return
			case <-done:
				return
			}
		}
	}()
	return func() os.Signal {
		close(done)
		return <-seen
	}
}

func (x *session) open(ctx context.Context) error {
	s := x.settings
	var err error
	if !isDescriptor(x.target) { // whoever opened it had the device and the right
		err = checkFuse()
	}
	if err != nil {
		return err
	}
	if x.place, err = checkMountpoint(x.target); err != nil {
		return err
	}
	x.collectWarnings()
	if err := x.openState(); err != nil {
		return err
	}
	if s.debug { // the kernel's requests are logged at that level
		s.level.value = "debug"
	}
	if x.log, err = s.logging.open(x.daemon, x.dir, x.err); err != nil {
		return err
	}
	if err := x.openBucket(ctx); err != nil {
		return err
	}
	options, err := x.mountOptions()
	if err != nil {
		return err
	}
	if x.mount, err = fs.Start(ctx, options); err != nil {
		return explainMount(err, x.place.path, x.dir)
	}
	go func() { // it ends with the mount
		x.mount.Wait()
		close(x.unmounted)
	}()
	return x.publish()
}

func (x *session) collectWarnings() {
	if x.place.replaced {
		x.warnings = append(x.warnings, fmt.Sprintf("%s: a dead mount was there (its process was killed or crashed); it is replaced", x.place.path))
	}
	if x.place.notEmpty {
		x.warnings = append(x.warnings, fmt.Sprintf("%s: the directory is not empty; what is in it is hidden while the mount lasts", x.place.path))
	}
	if plainHTTP(x.settings.endpoint) {
		x.warnings = append(x.warnings, fmt.Sprintf("%s: not encrypted: whoever is on the way can read and change everything", x.settings.endpoint))
	}
}

func (x *session) openState() error {
	parent := x.settings.stateDir
	if parent == "" {
		var err error
		if parent, err = defaultStateDir(); err != nil {
			return err
		}
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return failf("state directory %s: %w", parent, err)
	}
	if x.dir, err = prepareStateDir(parent, x.source); err != nil {
		return err
	}
	if x.daemon { // nobody reads the stderr of a daemon that panics
		if f, err := os.OpenFile(filepath.Join(x.dir, crashName), os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600); err == nil {
			err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
			if err != nil {
				return failf("state directory %s: %w", x.dir, err)
			}
		}
	}
	return nil
}

func (x *session) openBucket(ctx context.Context) error {
	cfg, forget, err := x.settings.clientConfig(x.source.bucket, x.log.Logger)
	if err != nil {
		return err
	}
	x.key, x.closeCredentials = cfg.Credentials, forget
	if err := hideSecrets(cfg.Credentials); err != nil {
		return err
	}
	x.metrics, err = openMetrics(x.settings.metrics, x.log.Logger)
	if err != nil {
		return err
	}
	cfg.Observer, cfg.Moved = x.observe, x.traffic.moved
	if cfg, err = checkBucket(ctx, cfg, x.source.prefix); err != nil {
		return err
	}
	x.bucket, err = ossclient.Open(ctx, cfg)
	if err != nil {
		return explain(err, cfg, cfg.Endpoint)
	}
	return nil
}

// observe tells whoever wants to hear of requests.
func (x *session) observe(e ossclient.Event) {
	logRequest(x.log.Logger, e)
	x.reach.observe(e)
	if x.observer != nil {
		x.observer(e)
	}
	if x.metrics != nil {
		x.metrics.observe(e)
	}
}

// publish makes the mount known to other processes.
func (x *session) publish() error {
	socket := filepath.Join(x.dir, socketName)
	l, err := control.Listen(socket)
	if err != nil {
		return failf("state directory %s: %w", x.dir, err)
	}
	x.server = control.Serve(l, &handler{x})
	x.forget, err = control.OpenRegistry().Add(control.Entry{
		PID: os.Getpid(), Source: x.source.String(), Mountpoint: x.place.path, StateDir: x.dir, Socket: socket,
		Version: version, Started: x.started,
	})
	if err != nil {
		x.forget = nil
		x.warnings = append(x.warnings, fmt.Sprintf("ossfs status and umount will not find this mount: %v", err))
	}
	note := mountNote{
		Source: x.source.String(), Endpoint: x.bucket.Endpoint(), Region: x.bucket.Region(), Mountpoint: x.place.path,
		PID: os.Getpid(), Version: version, Started: x.started,
	}
	if err := note.write(x.dir); err != nil {
		return failf("state directory %s: %w", x.dir, reason(err))
	}
	if x.metrics != nil {
		x.metrics.serve(newFigures(x))
	}
	x.log.Info("mounted", "source", x.source.String(), "mountpoint", x.place.path, "pid", os.Getpid(), "state", x.dir, "version", version)
	_, err = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS="+x.source.String()+" on "+x.place.path)
	if err != nil {
		x.log.Warn("systemd cannot be told that the mount is ready", "err", err)
	}
	return nil
}

// release gives back what open took, in the opposite order.
func (x *session) release() {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if x.forget != nil {
		x.forget()
	}
	var err error
	if x.mount != nil {
		if !x.isUnmounted() {
			err = x.mount.Detach()
		}
		err = errors.Join(err, x.mount.Close(ctx))
	}
	if x.server != nil {
		patience, cancel := context.WithTimeout(context.Background(), socketPatience)
		err = errors.Join(err, x.server.Close(patience))
		cancel()
	}
	if x.metrics != nil {
		x.metrics.close()
	}
	if x.bucket != nil {
		x.bucket.Close()
	}
	if x.closeCredentials != nil {
		x.closeCredentials()
	}
	if x.log == nil {
		return
	}
	if err != nil {
		x.log.Warn("closing the mount", "err", err)
	}
	_ = x.log.close() // there is no place left to say it
}

func (x *session) isUnmounted() bool {
	select {
	case <-x.unmounted:
		return true
	default:
		return false
	}
}

// explainMount puts the failure of mounting into one line.
func explainMount(err error, path, dir string) error {
	var locked *lockfile.HeldError
	switch {
	case errors.As(err, &locked):
		return failf("state directory %s: another mount of the same source uses it (pid %s): ossfs status shows where; unmount that one, or give another --state-dir",
			dir, locked.PID)
	case errors.Is(err, unix.EBUSY):
		return failf("mountpoint %s: it is busy: choose another directory", path)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failf("mountpoint %s: not allowed to mount (%w): run as root, or install fuse3 (apt-get install fuse3)", path, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return failf("state directory %s: its disk is full, or has no room for more files (df -h, df -i): free some space, or give another --state-dir", dir)
	default:
		return failf("%w", err)
	}
}

// plainHTTP reports whether an endpoint sends everything unencrypted over more than this machine.
func plainHTTP(endpoint string) bool {
	host, ok := cutScheme(endpoint, "http://")
	if !ok {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}
