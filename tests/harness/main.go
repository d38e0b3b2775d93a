package harness

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// helperVariable names the job of a process that Helper started.
const helperVariable = "OSSFS_TEST_HELPER"

// Jobs are what a process of the test program can be started for, by name.
type Jobs map[string]func(args []string) error

// Main is the TestMain of a package whose tests mount: it does a helper's job, one of the harness or one more, when this process is one,
// and otherwise runs the tests and fails when goroutines are left.
func Main(m *testing.M, find func(...goleak.Option) error, more Jobs) {
	if name := os.Getenv(helperVariable); name != "" {
		os.Exit(help(name, more))
	}
	code := m.Run()
	if code == 0 {
		if err := find(); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines are left: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}
