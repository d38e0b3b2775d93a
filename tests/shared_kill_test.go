package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kill kills a mount, at once or in the middle of something, and mounts again. What it has confirmed is there then; what it was asked for is done, or is
// not, or in part where it is done in parts.
func (x *shared) kill(p *sharer) {
	during, what := x.interrupted(p)
	x.log = append(x.log, p.name+" is killed in "+what)
	over := make(chan struct{})
	time.AfterFunc(time.Duration(x.r.IntN(1<<x.r.IntN(16)))*time.Microsecond, func() {
		p.process.Kill()
		close(over)
	})
	during()
	<-over
	for _, f := range p.open {
		_ = f.Close() // the mount is gone
		for _, id := range f.unsafe {
			delete(x.owed, id)
		}
	}
	p.open = nil
	p.process.Clear()
	p.start()
	p.sends = true
}

// interrupted is what a mount does while it is killed.
func (x *shared) interrupted(p *sharer) (during func(), what string) {
	name := x.name()
	switch x.r.IntN(9) {
	case 0:
		return func() { _ = p.process.Command("flush", p.dir).Run() }, "a flush"
	case 1:
		return func() { _ = turn(p) }, "a rename of directories"
	case 2:
		to := x.name()
		return x.renameCutShort(p, name, to), "a rename of " + name + " to " + to
	case 3:
		return x.removalCutShort(p, name), "a removal of " + name
	case 4:
		return x.writeCutShort(p, name, x.appendTo, true), "an append to " + name
	case 5:
		return x.writeCutShort(p, name, x.rewrite, false), "a rewrite of " + name
	case 6:
		return x.writeCutShort(p, name, x.replace, true), "a replacement of " + name
	case 7:
		if len(p.open) > 0 {
			f := p.open[x.r.IntN(len(p.open))]
			return x.syncCutShort(f), "an fsync of " + filepath.Base(f.Name())
		}
	}
	return func() {}, "nothing"
}

// renameCutShort is a rename of which nobody knows how far it comes: what it may have replaced is no longer owed. What cannot be read is left alone.
func (x *shared) renameCutShort(p *sharer, from, to string) func() {
	target, ok := x.shows(p.path(to))
	return func() {
		if !ok {
			return
		}
		if err := os.Rename(p.path(from), p.path(to)); !errors.Is(err, os.ErrNotExist) {
			x.replaced(p, to, target, "")
		}
	}
}

// removalCutShort is a removal that may have happened.
func (x *shared) removalCutShort(p *sharer, name string) func() {
	old, ok := x.shows(p.path(name))
	return func() {
		if !ok {
			return
		}
		if err := os.Remove(p.path(name)); !errors.Is(err, os.ErrNotExist) {
			p.taken[name] = true
			x.removed(old)
		}
	}
}

// writeCutShort adds a line, or many, to what the mount shows. They are owed when the mount has confirmed them; if it has not, what was there still is,
// where it is kept until the name is given to what is whole.
func (x *shared) writeCutShort(p *sharer, name string, by func(path, old, line string) (content string, err error), kept bool) func() {
	path := p.path(name)
	must(x.t, os.MkdirAll(filepath.Dir(path), 0o755))
	old, ok := x.shows(path)
	id, line := x.line(p.name + " adds")
	if x.r.IntN(2) == 0 {
		line += x.lots(200)
	}
	return func() {
		if !ok {
			return
		}
		content, err := by(path, old, line)
		if x.torn = append(x.torn, content); err == nil {
			x.log = append(x.log, "  confirmed")
			x.replaced(p, name, old, content)
			for _, id := range linesOf(line) {
				x.owed[id] = p.name + " write, confirmed before the kill, to " + name
			}
			return
		}
		x.log = append(x.log, fmt.Sprintf("  %s not confirmed: %v", strings.TrimSpace(id), err))
		if x.replaced(p, name, "", old); !kept {
			x.removed(old)
		}
	}
}

// syncCutShort has the bucket get what was written to an open file. When that is confirmed a kill takes nothing of it.
func (x *shared) syncCutShort(f *held) func() {
	f.unsafe = append(f.unsafe, x.put("write to what is open", f.File)...)
	return func() {
		if f.Sync() == nil {
			x.log = append(x.log, "  confirmed")
			f.unsafe = nil
		}
	}
}
