package fs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// The kernel believes what it is told as long as the tree does, and no longer than the mount says; what is ours alone for that long. An
// age that is over is no time at all, which the kernel would take for the mount's.
func TestPatience(t *testing.T) {
	const ttl = time.Minute
	for name, tt := range map[string]struct {
		set         func(n *node)
		least, most time.Duration
	}{
		"believed still": {func(n *node) { n.entry.Until = time.Now().Add(ttl / 2) }, ttl/2 - time.Second, ttl / 2},
		"for longer":     {func(n *node) { n.entry.Until = time.Now().Add(2 * ttl) }, ttl, ttl},
		"over":           {func(n *node) { n.entry.Until = time.Now().Add(-time.Second) }, 1, 1},
		"expired":        {func(n *node) { n.entry.Until = time.Now().Add(ttl); n.expire() }, 1, 1},
		"confirmed":      {func(n *node) { n.entry.Until = time.Now().Add(ttl); n.confirmed(&ossclient.Object{}) }, 1, 1},
		"refreshed":      {func(n *node) { n.entry.Until = time.Now().Add(ttl); n.doubt(1) }, 1, 1},
		"staged":         {func(n *node) { n.entry.Until, n.entry.Staged = time.Now(), true }, ttl, ttl},
		"gone":           {func(n *node) { n.entry.Until, n.gone = time.Now(), true }, ttl, ttl},
		"open and ours":  {func(n *node) { n.entry.Until, n.content = time.Now(), &writeback.File{} }, ttl, ttl},
		"the root":       {func(n *node) {}, ttl, ttl},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &node{m: &Mount{options: Options{TTL: ttl}}, key: "a"}
				tt.set(n)
				if got := n.patience(); got < tt.least || got > tt.most {
					t.Errorf("%v, want %v to %v", got, tt.least, tt.most)
				}
			})
		})
	}
}

// Pages are given while the file is as they are, and nobody may write it; who changes it waits for all that are being given.
func TestPagesAreSettled(t *testing.T) {
	v := ossclient.Version{Key: "a", ETag: "one"}
	for name, spoil := range map[string]func(n *node){
		"another version": func(n *node) { n.pages = "two" },
		"nothing known":   func(n *node) { n.pages = "" },
		"wrong ones":      func(n *node) { n.suspectPages() },
		"a writer":        func(n *node) { n.writers = 1 },
		"written":         func(n *node) { n.content = &writeback.File{} },
	} {
		n := &node{m: &Mount{}, pages: v.ETag}
		spoil(n)
		if n.givePages(v, 0, []byte("page")) || n.giving != 0 {
			t.Errorf("%s: pages are given", name)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n := &node{m: &Mount{}, pages: v.ETag}
		n.beginGivingLocked()
		n.beginGivingLocked()
		ended, end := context.WithCancel(t.Context())
		defer end()
		cut := make(chan error, 1)
		go func() { cut <- n.settlePages(ended) }()
		settled := make(chan error, 2)
		for range cap(settled) {
			go func() { settled <- n.settlePages(t.Context()) }()
		}
		for range 2 {
			if synctest.Wait(); len(settled) != 0 {
				t.Error("who changes the file does not wait for what is being given")
			}
			end()
			n.endGiving()
		}
		if synctest.Wait(); len(settled) != cap(settled) {
			t.Fatalf("%d of %d go on", len(settled), cap(settled))
		}
		if err := errors.Join(<-settled, <-settled); err != nil {
			t.Error(err)
		}
		if err := <-cut; !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait any more: %v", err)
		}
		if err := n.settlePages(ended); err != nil {
			t.Errorf("nothing is being given: %v", err)
		}
	})
}

// The kernel drops the pages of another version when it opens the file. When that open fails, since nobody waits any more for
// what is being given, it has them still: the next open drops them.
func TestFailedOpenDropsNoPages(t *testing.T) {
	n := &node{m: &Mount{}, pages: "old", paged: true}
	n.entry.Version.ETag = "new"
	ended, end := context.WithCancel(t.Context())
	end()
	n.beginGivingLocked()
	if _, err := n.openFlags(ended, &handle{n: n}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	n.endGiving()
	for _, keep := range []uint32{0, fuse.FOPEN_KEEP_CACHE} {
		flags, err := n.openFlags(t.Context(), &handle{n: n})
		if err != nil || flags&fuse.FOPEN_KEEP_CACHE != keep {
			t.Errorf("flags %#x (%v), want %#x of them", flags, err, keep)
		}
	}
}
