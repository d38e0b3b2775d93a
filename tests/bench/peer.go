package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A peer is another program that mounts buckets of OSS, which does the same rows before the same server. It is started by a command
// line of the shell, which ends with exec, must stay in the foreground, and is told by its environment what it needs.
//
// One that speaks S3 takes $S3 for its endpoint, with any credentials. Another finds the bucket by the host name bench.localhost, as OSS's own clients do; where that does not mean this machine, a line of hosts(5) says so.
// It has no flush: where a row has one, it ends with the last request that came before the server had none for a while.

// peerEnv is what a peer's command line may use.
func (b *bench) peerEnv(dir, state string) []string {
	_, port, _ := strings.Cut(strings.TrimPrefix(b.server.endpoint, "http://"), ":")
	return append(os.Environ(), "MNT="+dir, "STATE="+state, "BUCKET="+bucketName, "ENDPOINT=http://localhost:"+port, "REGION=cn-hangzhou", "S3="+b.server.s3,
		"OSS_ACCESS_KEY_ID="+keyID, "OSS_ACCESS_KEY_SECRET="+keySecret)
}

// startPeer is the command that mounts.
func (b *bench) startPeer(dir, state string) (*exec.Cmd, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.ctx, "sh", "-c", b.peer)
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

// peerQuiet is how long a peer that has something to send must have sent nothing: longer than any of them waits after a close by default.
const peerQuiet = 10 * time.Second

// settled waits until the server has had no request for a while, and says how long it took until the last one.
func (b *bench) settled() (time.Duration, error) {
	start := time.Now()
	last, seen := start, int64(-1)
	for time.Since(last) < peerQuiet {
		a, err := b.counts()
		if err != nil {
			return 0, err
		}
		if n := a.requests(); n != seen {
			if seen >= 0 {
				last = time.Now()
			}
			seen = n
		}
		select {
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return last.Sub(start), nil
}
