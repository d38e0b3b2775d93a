package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Helper runs a job in a process of its own and fails the test when it fails.
func Helper(t testing.TB, job string, args ...string) {
	t.Helper()
	cmd, err := Job(t.Context(), job, args...)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", job, args, err, out)
	}
}

// Job is a process that does a job, to be started.
func Job(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), helperVariable+"="+strings.Join(append([]string{name}, args...), "\n"))
	return cmd, nil
}

// Converse starts a process that is spoken with: what is written to in it reads, and what it says comes from out.
func Converse(cmd *exec.Cmd) (in io.WriteCloser, out io.ReadCloser, err error) {
	cmd.Stderr = os.Stderr
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	return in, out, cmd.Start()
}

// help does a helper's job and gives its exit status.
func help(line string, more Jobs) int {
	job, rest, _ := strings.Cut(line, "\n")
	args := strings.Split(rest, "\n")
	jobs := Jobs{"mmap-read": mmapRead, "mmap-shared": mmapShared, "mmap-private": mmapPrivate, "mmap-times": mmapTimes, "sticky": sticky,
		"lock": lock, workJob: work}
	maps.Copy(jobs, more)
	do, ok := jobs[job]
	if !ok {
		fmt.Fprintf(os.Stderr, "no job %q\n", job)
		return 2
	}
	if err := do(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// lock tries to lock a file, the first byte of it if the kind is fcntl's, and fails when it is not as free or busy as is said.
func lock(args []string) error {
	path, kind, want := args[0], args[1], args[2]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	record := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	switch kind {
	case "flock":
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	case "flock-shared":
		err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	case "fcntl-shared":
		record.Type = unix.F_RDLCK
		fallthrough
	case "fcntl":
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &record)
	}
	got := "free"
	if errors.Is(err, unix.EAGAIN) {
		got, err = "busy", nil
	}
	if err == nil && got != want {
		err = fmt.Errorf("%s is %s for %s, want %s", path, got, kind, want)
	}
	return errors.Join(err, f.Close())
}

func mapped(path string, flags, prot, how int, do func(f *os.File, p []byte) error) error {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), prot, how)
	if err != nil {
		return err
	}
	return errors.Join(do(f, p), unix.Munmap(p), f.Close())
}

// mmapRead compares a file, mapped, with another: mount's, plain.
func mmapRead(args []string) error {
	want, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	return mapped(args[0], os.O_RDONLY, unix.PROT_READ, unix.MAP_SHARED, func(_ *os.File, p []byte) error {
		if !bytes.Equal(p, want) {
			return errors.New("the mapping shows other bytes")
		}
		return nil
	})
}

// mmapShared writes args[1] at the start of each 100 KiB through a shared mapping, and closes the file
// before it unmaps, as programs do. With a third argument the file is opened with O_DIRECT.
func mmapShared(args []string) error {
	flags := os.O_RDWR
	if len(args) > 2 {
		flags |= unix.O_DIRECT
	}
	return mapped(args[0], flags, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, func(_ *os.File, p []byte) error {
		for off := 0; off < len(p); off += 100 << 10 {
			copy(p[off:], args[1])
		}
		return unix.Msync(p, unix.MS_SYNC)
	})
}

// mmapPrivate writes into a private mapping, of which the file must not see anything.
func mmapPrivate(args []string) error {
	return mapped(args[0], os.O_RDONLY, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE, func(_ *os.File, p []byte) error {
		copy(p, "private")
		if string(p[:7]) != "private" {
			return errors.New("the mapping does not keep what was written")
		}
		return nil
	})
}

// mmapTimes checks that the time which a program sets is not moved by what it had stored through a mapping before, whenever the kernel
// writes that, and is moved by what it stores later.
func mmapTimes(args []string) error {
	path, set := args[0], unix.Timespec{Sec: 1e9, Nsec: 123456789}
	at := func() (unix.Timespec, error) {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		return st.Mtim, err
	}
	setTime := func(f *os.File) error { // futimens(3)
		name := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{set, set}, 0)
	}
	stays := func(when string) error {
		got, err := at()
		if err == nil && got != set {
			err = fmt.Errorf("%s the time is %v, want %v", when, got, set)
		}
		return err
	}
	moves := func(p []byte) error {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			p[0]++
			if err := unix.Msync(p, unix.MS_SYNC); err != nil {
				return err
			}
			if got, err := at(); err != nil || got != set {
				return err
			}
		}
		return errors.New("the time is not moved by what was stored later")
	}
	var open *os.File
	err := mapped(path, os.O_RDWR, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, func(f *os.File, p []byte) (err error) {
		for range 2 { // the second time pages are there
			p[0]++
			if err := setTime(f); err != nil {
				return err
			}
			if err := unix.Msync(p, unix.MS_SYNC); err != nil {
				return err
			}
			if err := errors.Join(stays("after msync"), moves(p)); err != nil {
				return err
			}
		}
		p[0], p[len(p)-1] = p[0]+1, p[len(p)-1]+1
		open, err = os.Open(path)
		return errors.Join(err, setTime(f))
	})
	if err != nil {
		return err
	}
	err = stays("after munmap and close")
	return errors.Join(err, open.Close(), stays("when it is not open any more"))
}

// sticky checks, as the user nobody, that the modes are checked: args are a file that is not readable, and a
// setuid file that is writable.
func sticky(args []string) error {
	const nobody = 65534
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	if err := syscall.Setuid(nobody); err != nil {
		return err
	}
	if _, err := os.Open(args[0]); !errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("open of %s: got %v, want EACCES", args[0], err)
	}
	f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("x"); err != nil {
		return err
	}
	return f.Close()
}
