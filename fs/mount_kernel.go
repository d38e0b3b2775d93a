package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs/transport"
)

// attach mounts; the mount answers when it returns.
func (m *Mount) attach() error {
	opened := strings.HasPrefix(m.options.Mountpoint, "/dev/fd/") // by whoever mounted it, who alone knows where
	direct := os.Geteuid() == 0 && !opened
	if !direct && !opened {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			return fmt.Errorf("mount on %s: fusermount3 is missing (apt-get install fuse3): %w", m.options.Mountpoint, err)
		}
	}
	profile := m.options.profile(direct)
	m.calls = &calls{}
	profile.ServerCallbacks = m.calls
	var raw fuse.RawFileSystem = &called{fusefs.NewNodeFS(m.root, profile), m.calls}
	if tell := m.options.Observer; tell != nil {
		raw = &observed{raw, tell}
	}
	conn, err := transport.Mount(raw, m.options.Mountpoint, &profile.MountOptions, m.options.Logger)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", m.options.Mountpoint, err)
	}
	m.calls.conn = conn
	m.notify.begin(m.calls)
	m.prune.start(m.calls)
	go func() {
		defer close(m.served)
		conn.Serve()
	}()
	if direct {
		m.setReadAhead()
	}
	return nil
}

// setReadAhead raises the kernel's read-ahead: 128 KiB halves the speed of reading. Only root may, and
// a machine without /sys is as good as one without the right.
func (m *Mount) setReadAhead() {
	var st unix.Statx_t // it asks nothing of ourselves: whoever kills us meanwhile would leave the mount without an end
	if err := unix.Statx(unix.AT_FDCWD, m.options.Mountpoint, unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		m.options.Logger.Warn("read-ahead stays at the kernel's default", "err", err)
		return
	}
	name := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", st.Dev_major, st.Dev_minor)
	if err := os.WriteFile(name, []byte(strconv.Itoa(readAheadKB)), 0); err != nil {
		m.options.Logger.Debug("read-ahead stays at the kernel's default", "err", err)
	}
}

// Wait returns when the kernel has let go of the mount, whoever unmounted it.
func (m *Mount) Wait() { <-m.served }

// Unmount asks the kernel to let go and waits until it has. A mount in use stays as it is, and the error is
// EBUSY: the caller decides whether to try again or to Detach.
func (m *Mount) Unmount(ctx context.Context) error {
	return m.letGo(ctx, 0, "-u")
}

// Detach takes the mount out of the tree of files at once; who uses it goes on until it is done. Wait tells
// when.
func (m *Mount) Detach() error {
	err := m.release(unix.MNT_DETACH, "-uz")
	if m.unmounted() || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

func (m *Mount) letGo(ctx context.Context, flags int, words string) error {
	m.leaving.RLock()
	defer m.leaving.RUnlock()
	if m.unmounted() {
		return nil
	}
	if err := m.release(flags, words); err != nil && !m.unmounted() {
		return fmt.Errorf("umount %s: %w", m.options.Mountpoint, err)
	}
	select {
	case <-m.served:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release calls umount2(2), or fusermount3 where that is not allowed.
func (m *Mount) release(flags int, words string) error {
	err := unix.Unmount(m.options.Mountpoint, flags)
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	out, err := exec.Command("fusermount3", words, m.options.Mountpoint).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", out, syscall.EBUSY)
	}
	return nil
}

func (m *Mount) unmounted() bool {
	select {
	case <-m.served:
		return true
	default:
		return false
	}
}

// relative is a path below the mountpoint, absolute or not, as the names from the root down.
func (m *Mount) relative(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(m.options.Mountpoint, path)
	}
	rel, err := filepath.Rel(m.options.Mountpoint, filepath.Clean(path))
	if err != nil || rel == ".." || len(rel) > 2 && rel[:3] == "../" {
		return "", fmt.Errorf("%s is not below %s: %w", path, m.options.Mountpoint, syscall.EINVAL)
	}
	return rel, nil
}
