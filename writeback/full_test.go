package writeback

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
	"github.com/ossfs/ossfs/writeback/journal"
)

// A full disk is ENOSPC to who writes; what is staged is sent, removed and renamed all the same, and confirmed, and a
// kill meanwhile loses nothing. When there is room all goes on.
// SEMANTICS 1.9
func TestFullDisk(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	mem.Fill(journal.Reserve * 6)
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	s := r.open()
	content := noise(100<<10, 1)
	var names []string
	full := false
	for i := 0; !full; i++ {
		name := fmt.Sprintf("f%03d", i)
		f, err := s.Create(Key(name), fileAttr(), ossclient.Version{})
		if err == nil {
			_, err = f.WriteAt(t.Context(), []byte(content), 0)
			if full = errors.Is(err, syscall.ENOSPC); full { // as a program does that cleans up
				if rerr := s.Remove(Key(name), Seen{}); rerr != nil {
					t.Fatalf("remove on a full disk: %v", rerr)
				}
			} else {
				names = append(names, name)
				r.closed(f)
			}
			f.Release()
		}
		if full = full || errors.Is(err, syscall.ENOSPC); err != nil && !full {
			t.Fatal(err)
		}
	}
	if len(names) < 10 {
		t.Fatalf("only %d files fit", len(names))
	}
	mem.Fill(0)
	if err := s.Rename(t.Context(), Key(names[0]), "renamed", RenameSource{}, Seen{}); err != nil {
		t.Errorf("rename on a full disk: %v", err)
	}
	if err := s.Remove(Key(names[1]), Seen{}); err != nil {
		t.Errorf("remove on a full disk: %v", err)
	}
	for err := error(nil); !errors.Is(err, syscall.ENOSPC); { // names alone fit until they would take what is kept for confirmations
		if err = s.Put("link", fileAttr(), content[:10<<10], ossclient.Version{}); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := s.Remove("link", Seen{}); err != nil {
		t.Errorf("remove on a full disk: %v", err)
	}
	killed := mem.Killed()
	killed.Fill(journal.Reserve) // what the journal of the dead process kept
	r.opt.Disk = killed
	next := r.open()
	if _, ok := next.Lookup("renamed"); !ok {
		r.want("renamed", content) // a full disk has everything sent that rests
	}
	if err := next.Close(t.Context()); err != nil {
		t.Error(err)
	}
	r.flush(s)
	for _, name := range append(names[2:], "renamed") {
		r.want(name, content)
	}
	if keys := r.server.Keys(ossservertest.Bucket); len(keys) != len(names)-1 {
		t.Errorf("the bucket has %d objects, want %d", len(keys), len(names)-1)
	}
	if st := s.Status(); st.Waiting+st.Failed+st.Sending > 0 {
		t.Errorf("status: %+v", st)
	}
	mem.Fill(journal.Reserve * 8)
	r.write(s, "after", content)
	r.flush(s)
	r.want("after", content)
}

// closed commits, as close(2) does.
func (r *rig) closed(f *File) {
	r.t.Helper()
	if err := f.Commit(); err != nil {
		r.t.Fatal(err)
	}
}

// What finds no room in the journal when it is closed is kept by the process, small or staged, and stored when there is
// room: by a flush, or by itself.
// SEMANTICS 1.9
func TestCloseOnAFullDisk(t *testing.T) {
	for size, by := range map[int]string{900: "flush", 901: "itself", 9000: "flush", 9001: "itself"} {
		t.Run(fmt.Sprintf("%d bytes by %s", size, by), func(t *testing.T) {
			r, mem, s := onMem(t)
			content := noise(size, 1)
			f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
			if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
				t.Fatal(err)
			}
			mem.Fill(0)
			if err := f.Commit(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("commit on a full disk: %v", err)
			}
			f.Release()
			if again, ok := s.OpenContent("a"); !ok {
				t.Error("the file is gone")
			} else {
				got := make([]byte, size)
				if _, err := again.ReadAt(t.Context(), got, 0); err != nil || string(got) != content {
					t.Errorf("read again: %v, %.20q", err, got)
				}
				again.Release()
			}
			mem.Fill(-1)
			if by == "flush" {
				r.flush(s)
				r.want("a", content)
			}
			for deadline := time.Now().Add(enough); ; {
				s.mu.RLock()
				users := len(s.files)
				s.mu.RUnlock()
				if users == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d files in use", users)
				}
				time.Sleep(time.Millisecond)
			}
			r.flush(s)
			r.want("a", content)
		})
	}
}

// A flush on a full disk sends what is whole, though a file that was closed last found no room, and then that one, too.
// SEMANTICS 1.9
func TestFlushOnAFullDisk(t *testing.T) {
	for _, size := range []int{900, 9000} {
		r, mem, s := onMem(t)
		r.write(s, "whole", "content")
		f := must(s.Create("last", fileAttr(), ossclient.Version{}))(t)
		content := noise(size, 1)
		if _, err := f.WriteAt(t.Context(), []byte(content), 0); err != nil {
			t.Fatal(err)
		}
		mem.Fill(0)
		f.Release()
		err := s.Flush(t.Context(), "", func(Progress) {
			if _, ok := r.body("whole"); ok {
				mem.Fill(-1)
			}
		})
		if err != nil {
			t.Errorf("flush: %v", err)
		}
		r.want("whole", "content")
		r.want("last", content)
	}
}

// An edit that does not find room on the disk is kept, and sent when there is room.
func TestEditOnAFullDisk(t *testing.T) {
	r := newRig(t)
	mem := disktest.New()
	r.opt.Disk, r.opt.Delay = mem, time.Hour
	s := r.open()
	content := []byte(noise(500<<10, 1))
	f := must(s.Edit("a", Seen{Version: r.put("a", string(content))}, fileAttr(), nil))(t)
	if _, err := f.WriteAt(t.Context(), []byte("EDIT"), 100); err != nil {
		t.Fatal(err)
	}
	r.close(f)
	mem.Fill(0)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Sync(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("sync: got %v, want it to be tried on", err)
	}
	mem.Fill(-1)
	r.flush(s)
	copy(content[100:], "EDIT")
	r.want("a", string(content))
}

// Small content for which there is no staged file on a full disk does not grow, and its writer hears it.
// SEMANTICS 1.9
func TestOutgrownOnAFullDisk(t *testing.T) {
	r, d := newRig(t), newBadStages(false)
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = d, time.Hour, 1000
	s := r.open()
	content := noise(5000, 1)
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	write := func(from, to int) error {
		_, err := f.WriteAt(t.Context(), []byte(content[from:to]), int64(from))
		return err
	}
	if err := write(0, 900); err != nil {
		t.Fatal(err)
	}
	for what, fill := range map[string]func(){"file": func() { d.full.Store(true) }, "bytes": func() { d.Fill(100) }} {
		fill()
		if err := write(900, 5000); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write without room for a %s: got %v, want ENOSPC", what, err)
		}
		if n := f.Size(); n != 900 {
			t.Errorf("it has %d bytes, want 900", n)
		}
		d.Fill(-1)
	}
	if err := write(900, 5000); err != nil {
		t.Error(err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", content)
}
