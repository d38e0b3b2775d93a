package main

import (
	"os"
	"os/user"
	"strconv"
)

const (
	helperPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	rootsHome  = "/root"
)

// completeEnvironment gives a helper of mount(8) what a command of the user's has: from a user who is not root, mount(8)
// takes HOME and PATH away, and mount.fuse says then that HOME is root's.
func completeEnvironment() error {
	if os.Getenv("PATH") == "" { // else fusermount3 is not found
		if err := os.Setenv("PATH", helperPath); err != nil {
			return failf("environment: %w", err)
		}
	}
	if home := os.Getenv("HOME"); os.Getuid() == 0 || home != "" && home != rootsHome {
		return nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil || u.HomeDir == "" {
		return nil // what needs a home says so
	}
	if err := os.Setenv("HOME", u.HomeDir); err != nil {
		return failf("environment: %w", err)
	}
	return nil
}
