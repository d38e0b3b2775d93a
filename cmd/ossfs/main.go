package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// console is where a command talks to its user.
type console struct {
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args, &console{out: os.Stdout, err: os.Stderr}))
}

// run does what the arguments say and returns the exit status.
func run(argv []string, c *console) int {
	// No core file and no other process of the user shall show the credentials. A kernel that refuses
	// this is no reason not to mount.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	err := dispatch(argv, c)
	if err == nil {
		return exitDone
	}
	var exit *exitStatus
	if errors.As(err, &exit) {
		return exit.status
	}
	fmt.Fprintln(c.err, "ossfs: "+oneLine(err.Error()))
	return statusOf(err)
}

// dispatch finds the command: the first argument, or, for a helper of mount(8) and umount(8), the name under
// which the program was called.
func dispatch(argv []string, c *console) error {
	name := "ossfs"
	if len(argv) > 0 {
		name = filepath.Base(argv[0])
		argv = argv[1:]
	}
	if isMountHelper(name) {
		return runMountHelper(c, argv)
	}
	if name == umountHelperName {
		return runUmountHelper(c, argv)
	}
	if len(argv) == 0 {
		printHelp(c.err)
		return usagef("which command? ossfs help lists them")
	}
	switch first := argv[0]; {
	case first == "-h" || first == "--help" || first == "help":
		if len(argv) > 1 && first == "help" {
			return runCommand(c, argv[1], []string{"--help"})
		}
		printHelp(c.out)
		return nil
	case first == "-V" || first == "-v" || first == "--version":
		return runCommand(c, "version", nil)
	case strings.HasPrefix(first, sourceScheme):
		// mount.fuse calls the filesystem's program as "ossfs SOURCE TARGET -o OPTIONS".
		return runMountHelper(c, argv)
	default:
		return runCommand(c, first, argv[1:])
	}
}

// isMountHelper reports whether the program was called as mount(8) calls its helpers.
func isMountHelper(name string) bool {
	return name == "mount.ossfs" || name == "mount.fuse.ossfs" || name == "mount.fuse3.ossfs"
}
