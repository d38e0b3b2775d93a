package writeback

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// The stage is full, and the disk too, so that what is written cannot be committed, and not be sent. That is told to who writes, and is
// over when the disk has room.
func TestFullStageOnAFullDisk(t *testing.T) {
	r, mem, s := onMem(t)
	content := noise(900, 12)
	var files []*File
	for _, key := range []Key{"a", "b"} {
		f := must(s.Create(key, fileAttr(), ossclient.Version{}))(t)
		defer r.close(f)
		files = append(files, f)
	}
	write := func(f *File) error {
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		defer cancel()
		_, err := f.WriteAt(ctx, []byte(content), 0)
		return err
	}
	if err := write(files[0]); err != nil {
		t.Fatal(err)
	}
	s.space.mu.Lock()
	s.space.total = 900
	s.space.mu.Unlock()
	mem.Fill(0)
	if err := write(files[1]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the writer: %v, want ENOSPC", err)
	}
	mem.Fill(-1)
	r.until("what was written is sent, though it is open", func() bool { return write(files[1]) == nil })
}
