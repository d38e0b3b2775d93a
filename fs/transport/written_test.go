package transport

import (
	"context"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// written is a file whose writes begin, and end when they may.
type written struct {
	fusefs.Inode
	begun, may chan struct{}
}

func (f *written) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *written) Write(_ context.Context, _ fusefs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	close(f.begun)
	<-f.may
	return uint32(len(data)), 0
}

// holder is a directory with one file.
type holder struct {
	fusefs.Inode
	file *written
}

func (d *holder) Lookup(ctx context.Context, _ string, _ *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return d.NewInode(ctx, d.file, fusefs.StableAttr{Mode: fuse.S_IFREG}), 0
}

// Who waits for what is written of a file waits for its WRITEs, for what is being read, and for nothing else.
func TestWritten(t *testing.T) {
	f := &written{begun: make(chan struct{}), may: make(chan struct{})}
	dir, c, serve := unserved(t, &holder{file: f})
	serve()
	wrote := make(chan error, 1)
	go func() {
		fd, err := unix.Open(filepath.Join(dir, "f"), unix.O_WRONLY, 0)
		if err == nil {
			_, err = unix.Write(fd, []byte("x"))
			_ = unix.Close(fd) // nothing is kept back
		}
		wrote <- err
	}()
	within(t, "the write", f.begun)
	var node uint64
	c.flying.mu.Lock()
	for _, x := range c.flying.flights {
		if x.q.opcode() == opWrite {
			node = x.nodes[0]
		}
	}
	c.flying.mu.Unlock()
	waits := func(node uint64) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Written(node)
		}()
		return done
	}
	within(t, "who waits for another file", waits(node+1))
	c.hands.Add(1)
	inHand := waits(node + 1)
	for range 10_000 { // it would be back by then
		runtime.Gosched()
	}
	select {
	case <-inHand:
		t.Error("did not wait for what is in a hand")
	default:
	}
	c.hands.Add(-1)
	within(t, "who waits for another file", inHand)
	done := waits(node)
	waited := func() bool {
		c.flying.mu.Lock()
		defer c.flying.mu.Unlock()
		return len(c.flying.ended) > 0
	}
	for end := time.Now().Add(time.Minute); !waited(); runtime.Gosched() {
		select {
		case <-done:
			t.Fatal("did not wait for the WRITE")
		default:
		}
		if time.Now().After(end) {
			t.Fatal("nobody waits for the WRITE")
		}
	}
	close(f.may)
	within(t, "who waits for the file", done)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// What nobody has read yet is waited for, too, but not for ever.
func TestWrittenWaitsForTheQueue(t *testing.T) {
	dir, c, serve := unserved(t, &top{lookup: func(context.Context, string) syscall.Errno { return 0 }})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		absent(t, dir, "x")
	}()
	for end := time.Now().Add(time.Minute); !c.queued(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
	}
	begun := time.Now()
	c.Written(1)
	if took := time.Since(begun); took < queuedMost {
		t.Errorf("waited %v while a request was in the queue", took)
	}
	serve()
	within(t, "the answer", asked)
	for end := time.Now().Add(time.Minute); c.queued(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the queue does not become empty")
		}
	}
}
