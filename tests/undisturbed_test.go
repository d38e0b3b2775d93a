package tests

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// caches are what the kernel remembers. Whoever owns the machine may have it drop them at any time (/proc/sys/vm/drop_caches, as
// programs that measure do), and then a test of what it remembers says nothing.
type caches struct {
	t     *testing.T
	drops string
}

func cachesOf(t *testing.T) *caches {
	t.Helper()
	return &caches{t, drops(t)}
}

// errorf is t.Errorf for what is an error only if the kernel has kept what it had.
func (c *caches) errorf(format string, args ...any) {
	c.t.Helper()
	if drops(c.t) != c.drops {
		c.t.Logf(format, args...)
		c.t.Skip("the kernel was told meanwhile to drop its caches")
	}
	c.t.Errorf(format, args...)
}

var dropLines = regexp.MustCompile(`(?m)^drop_.*$`)

// drops says how often the kernel was told to.
func drops(t *testing.T) string {
	t.Helper()
	stat, err := os.ReadFile("/proc/vmstat")
	must(t, err)
	return fmt.Sprintf("%s", dropLines.FindAll(stat, -1))
}
