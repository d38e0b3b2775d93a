package onefile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// recover has the mount made again after its end, and finds out what is there.
func (d *driver) recover() error {
	for _, h := range d.handles { // nothing is to be heard any more
		h.end()
	}
	d.handles = nil
	if err := d.ask(Message{Ask: Died}); err != nil {
		return err
	}
	got, err := d.found()
	if errors.Is(err, errDied) {
		return d.recover()
	}
	if err != nil {
		return err
	}
	unlike := d.unlike(got, d.names)
	if unlike != "" && d.maybe != nil {
		after := d.unlike(got, d.maybe)
		if after != "" {
			unlike += "; or, had the call been done that was interrupted, " + after
		} else {
			unlike = ""
		}
	}
	if unlike != "" {
		return wrong("after the kill: %s", unlike)
	}
	return d.adopt(got)
}

// state is a file that was found.
type state struct {
	content []byte
	mode    uint32
	at      time.Time
}

func (d *driver) found() (map[string]state, error) {
	list, err := d.there()
	if err != nil {
		return nil, err
	}
	got := map[string]state{}
	for _, name := range list {
		var p []byte
		var st unix.Stat_t
		err := d.call(nil, "read "+name, func() (err error) {
			if p, err = readWhole(d.path(name), "read"); err != nil {
				return err
			}
			return unix.Stat(d.path(name), &st)
		})
		if err != nil {
			return nil, err
		}
		if st.Size != int64(len(p)) {
			return nil, wrong("%s has %d bytes, and stat(2) says %d", name, len(p), st.Size)
		}
		got[name] = state{p, st.Mode & 0o7777, time.Unix(st.Mtim.Unix())}
	}
	return got, nil
}

// unlike says in what that which was found cannot have come of some files.
func (d *driver) unlike(got map[string]state, want map[string]*inode) string {
	for name, s := range got {
		i := want[name]
		switch {
		case i == nil:
			return name + " is there, and should not be"
		case i.mayBe(s.content) != "":
			return name + ": " + i.mayBe(s.content)
		case len(i.since) > 0 || i.reset || i.undated: // the attributes are confirmed with the bytes, if the bucket has any
		case s.mode != i.mode:
			return fmt.Sprintf("%s has mode %o, want %o", name, s.mode, i.mode)
		case !i.timely(s.at):
			return fmt.Sprintf("%s was changed at %v, want from %v to %v", name, s.at, i.early, i.late)
		}
	}
	for name, i := range want {
		if _, ok := got[name]; !ok {
			return fmt.Sprintf("%s is gone; %d bytes were confirmed", name, len(i.base))
		}
	}
	return ""
}

// adopt goes on with what was found.
func (d *driver) adopt(got map[string]state) error {
	before, after := d.names, d.maybe
	d.names, d.maybe = map[string]*inode{}, nil
	for name, s := range got {
		i := d.newInode()
		for _, was := range []*inode{before[name], after[name]} {
			i.foreign = i.foreign || was != nil && was.foreign
		}
		i.undated = i.foreign // what was written to it since, and would have dated it, may be lost
		i.content, i.base, i.mode, i.early, i.late = s.content, slices.Clone(s.content), s.mode, s.at, s.at
		d.names[name] = i
	}
	return d.look()
}
