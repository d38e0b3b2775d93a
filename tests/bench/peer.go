package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A peer is another program that mounts buckets of OSS, which does the same rows before the same server. It is started by a command
// line of the shell, must stay in the foreground, and is told by its environment what it needs.
//
// It finds the bucket by the host name bench.localhost, as OSS's own clients do; where that does not mean this machine, a line of hosts(5) says so.
// It has no flush: what it does not have sent when the call returns is not waited for.

// peerEnv is what a peer's command line may use.
func (b *bench) peerEnv(dir, state string) []string {
	_, port, _ := strings.Cut(strings.TrimPrefix(b.server.endpoint, "http://"), ":")
	return append(os.Environ(), "MNT="+dir, "STATE="+state, "BUCKET="+bucketName, "ENDPOINT=http://localhost:"+port, "REGION=cn-hangzhou",
		"OSS_ACCESS_KEY_ID="+keyID, "OSS_ACCESS_KEY_SECRET="+keySecret)
}

// startPeer is the command that mounts.
func (b *bench) startPeer(dir, state string) (*exec.Cmd, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.ctx, "sh", "-c", "exec "+b.peer)
	cmd.Env = b.peerEnv(dir, state)
	return cmd, nil
}

// umountPeer unmounts, which ends the program.
func (b *bench) umountPeer(dir string) error {
	if out, err := exec.CommandContext(b.ctx, "umount", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w: %s", dir, err, out)
	}
	return nil
}
