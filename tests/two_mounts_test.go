package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/lockfile"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// Two mounts of one bucket see each other's changes after the TTL, and lock each other out of nothing but a state directory.
// SEMANTICS 7.2
func TestTwoMountsOfABucket(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	short := func(o *fsOptions) { o.TTL = 100 * time.Millisecond }
	a, b := harness.On(t, s, short), harness.On(t, s, short)
	a.Attach()
	b.Attach()
	for i, beds := range [][2]*harness.Bed{{a, b}, {b, a}} {
		writer, reader := beds[0], beds[1]
		content := []byte(fmt.Sprintf("version %d", i))
		f, err := os.Create(writer.Path("f"))
		must(t, err)
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
		_, err = f.Write(content)
		must(t, err)
		must(t, f.Sync())
		harness.Eventually(t, "what the other mount wrote", func() bool {
			got, err := os.ReadFile(reader.Path("f"))
			return err == nil && bytes.Equal(got, content)
		})
		withFile(t, reader.Path("f"), os.O_RDWR, func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
		must(t, f.Close())
	}
	must(t, os.Remove(a.Path("f")))
	a.Flush()
	harness.Eventually(t, "what the other mount removed", func() bool {
		_, err := os.Stat(b.Path("f"))
		return errors.Is(err, syscall.ENOENT)
	})
	third := b.Options
	third.StateDir = a.Options.StateDir
	_, err := fs.Start(t.Context(), third)
	var locked *lockfile.HeldError
	if !errors.As(err, &locked) || locked.PID != strconv.Itoa(os.Getpid()) {
		t.Errorf("a state directory in use: got %v", err)
	}
}
