package writeback

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// badSync is a disk one sync of whose journal fails, after which later ones of that file do nothing.
type badSync struct {
	*disktest.Mem
	fail atomic.Bool
	down atomic.Bool // all fail
	full atomic.Bool // nothing more is written to the journal
}

type badSyncFile struct {
	disk.File
	fs   *badSync
	lost atomic.Bool
}

func (d *badSync) Create(name string) (disk.File, error) {
	f, err := d.Mem.Create(name)
	if err != nil || !strings.HasPrefix(name, "journal/") {
		return f, err
	}
	return &badSyncFile{File: f, fs: d}, nil
}

func (f *badSyncFile) Sync() error {
	if f.fs.fail.Swap(false) || f.fs.down.Load() {
		f.lost.Store(true)
		return errors.New("input/output error")
	}
	if f.lost.Load() {
		return nil
	}
	return f.File.Sync()
}

func (f *badSyncFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fs.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(p, off)
}

// SyncAll finds nothing to write in the journal either.
func (d *badSync) SyncAll() error {
	dirs, err := d.List("staged")
	for _, dir := range dirs {
		names, lerr := d.List("staged/" + dir)
		err = errors.Join(err, lerr, d.SyncDir("staged/"+dir))
		for _, name := range names {
			f, oerr := d.Open("staged/" + dir + "/" + name)
			if err = errors.Join(err, oerr); oerr == nil {
				err = errors.Join(err, f.Sync())
			}
		}
	}
	return err
}

// What was journaled before and after a failed sync is durable when the next group is.
func TestJournalSyncFails(t *testing.T) {
	r := newRig(t)
	d := &badSync{Mem: disktest.New()}
	r.opt.Disk, r.opt.Delay, r.opt.LocalFsync = d, time.Hour, true
	s := r.open()
	if err := s.sync.flush(); err != nil {
		t.Fatal(err)
	}
	d.fail.Store(true)
	r.write(s, "a", "content of a")
	for d.fail.Load() { // by this group or the one of each second
		if err := s.sync.flush(); err != nil {
			t.Log(err)
		}
	}
	r.write(s, "b", "content of b")
	if err := s.Sync(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	r.refuse()
	for seed := range uint64(8) {
		r.opt.Disk = d.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		after := r.open()
		for _, key := range []Key{"a", "b"} {
			if _, ok := after.Lookup(key); !ok {
				t.Errorf("seed %d: %s is lost", seed, key)
			}
		}
	}
}

// Bytes of a committed state are not overwritten before it is durable that they are about to be.
// SEMANTICS 1.2
func TestNotOverwrittenBeforeTheJournalSaysSo(t *testing.T) {
	r := newRig(t)
	d := &badSync{Mem: disktest.New()}
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = d, time.Hour, -1
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	write := func(text string, off int64) error {
		_, err := f.WriteAt(t.Context(), []byte(text), off)
		return err
	}
	if err := write("content", 0); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	if err := write("added", 7); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]*atomic.Bool{"written": &d.full, "synced": &d.down} {
		bad.Store(true)
		if err := write("OVER", 0); err == nil {
			t.Errorf("it was overwritten though the journal was not %s", what)
		}
		got := make([]byte, 7)
		if _, err := f.ReadAt(t.Context(), got, 0); err != nil || string(got) != "content" {
			t.Errorf("got %q, %v, want what was committed", got, err)
		}
		bad.Store(false)
	}
	if err := write("OVER", 0); err != nil {
		t.Errorf("when the journal is whole again: %v", err)
	}
	r.close(f)
	r.flush(s)
	r.want("a", "OVERentadded")
}

// The journal's sync fails when a file is about to be overwritten of which an earlier sync has failed: both are written anew, and
// nobody waits for himself.
func TestOverwrittenWhenAllSyncsFail(t *testing.T) {
	r := newRig(t)
	d := &badSync{Mem: disktest.New()}
	r.opt.Disk, r.opt.Delay, r.opt.smallMost = d, time.Hour, -1
	s := must(Open(t.Context(), r.opt))(t) // not closed when it hangs: that would, too
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	if _, err := f.WriteAt(t.Context(), []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	r.closed(f)
	s.sync.doubt(f.stage)
	d.fail.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := f.WriteAt(t.Context(), []byte("CON"), 0)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(enough):
		t.Fatal("it waits for ever")
	}
	r.close(f)
	r.flush(s)
	r.want("a", "CONtent")
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
