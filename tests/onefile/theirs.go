package onefile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// What another client does: it replaces the object of a file.

// Theirs are the bytes that another client stores, as a driver has asked for.
func Theirs(m Message) []byte { return noise(m.Size, m.Seed) }

func noise(size int64, seed uint64) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	p := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(p) // it never fails
	return p
}

// theirs has another client replace a file that nobody may write to, and that the bucket has, and the mount hear of it. What is open of it may be ESTALE
// from then on, and never has a byte of the new version.
func (d *driver) theirs() error {
	name := d.existing()
	if name == "" || !d.spare(name) || d.written(d.names[name]) {
		return nil
	}
	if err := d.flush(); err != nil {
		return err
	}
	old, i := d.names[name], d.newInode()
	m := Message{Ask: Replace, What: name, Size: d.length(d.Most), Seed: d.r.Uint64()}
	i.content = Theirs(m)
	i.base = slices.Clone(i.content)
	i.early, i.undated, i.foreign = time.Now().Truncate(time.Second), true, true // the bucket knows no more
	d.maybe = d.with(name, i)
	if err := d.ask(m); err != nil {
		return err
	}
	i.late = time.Now().Add(slack)
	d.names, d.maybe = d.maybe, nil
	old.was, old.stale = name, true
	return d.heard(name, i)
}

// written says whether a file may be written to, or has something that is not confirmed.
func (d *driver) written(i *inode) bool {
	return i.dirty || len(i.since) > 0 || slices.ContainsFunc(d.handles, func(h *handle) bool {
		return h.ino == i && h.flags&unix.O_ACCMODE != unix.O_RDONLY // also one that is closed, and mapped
	})
}

// heard returns when the name shows what another client has made of it: the last writer of what was there before is released some time after its close.
func (d *driver) heard(name string, i *inode) error {
	for range 100 {
		var st unix.Stat_t
		err := d.call(nil, "", func() error { return unix.Stat(d.path(name), &st) })
		if err != nil || st.Size == i.size() && i.timely(time.Unix(st.Mtim.Unix())) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		if err := d.ask(Message{Ask: Refresh}); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is shown as it was before another client replaced it", name)
}
