package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// attributes changes what is stored with a file.
func (x *shared) attributes(p *sharer, op, name string) {
	path := p.path(name)
	switch x.r.IntN(3) {
	case 0:
		x.do(fmt.Sprintf(op, "chmod"), func() error { return os.Chmod(path, 0o600|os.FileMode(x.r.IntN(64))) })
	case 1:
		x.do(fmt.Sprintf(op, "set the times of"), func() error {
			at := time.Unix(int64(x.r.IntN(1e9)), 0)
			return os.Chtimes(path, at, at)
		})
	default:
		x.do(fmt.Sprintf(op, "set an attribute of"), func() error { return unix.Setxattr(path, "user.x", []byte(fmt.Sprint(x.lines)), 0) })
	}
}

// directories is a change of one as such.
func (x *shared) directories(p *sharer) {
	list := []string{"d", "e", "f"}
	from, to := list[x.r.IntN(3)], list[x.r.IntN(3)]
	switch x.r.IntN(4) {
	case 0:
		x.do(p.name+" rmdir "+from, func() error { return unix.Rmdir(p.path(from)) })
	case 1:
		x.do(p.name+" mkdir "+from, func() error { return os.Mkdir(p.path(from), 0o755) })
	default:
		x.do(p.name+" rename "+from+" to "+to, func() error { return os.Rename(p.path(from), p.path(to)) })
	}
}

// sync has the bucket get a file, or a directory, or maps a file.
func (x *shared) sync(p *sharer, op, name string) {
	switch x.r.IntN(3) {
	case 0:
		x.do(fmt.Sprintf(op, "fsync"), func() error { return syncOf(p.path(name)) })
	case 1:
		x.do(fmt.Sprintf(op, "fsync the directory of"), func() error { return syncOf(filepath.Dir(p.path(name))) })
	default:
		x.mapped(fmt.Sprintf(op, "map"), p, name)
	}
}

func syncOf(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mapped sees that a mapping of a file shows what a read does.
func (x *shared) mapped(what string, p *sharer, name string) {
	content, ok := x.shows(p.path(name))
	if x.log = append(x.log, what); !ok || content == "" || p.sends {
		return
	}
	plain := filepath.Join(x.t.TempDir(), "plain")
	must(x.t, os.WriteFile(plain, []byte(content), 0o600))
	harness.Helper(x.t, "mmap-read", p.path(name), plain)
}

// theirs is a change by a client that is no mount.
func (x *shared) theirs(name string) {
	old, there, err := x.server.Content(harness.Bucket, name)
	must(x.t, err)
	if there && x.r.IntN(6) == 0 {
		x.log = append(x.log, "C delete "+name)
		must(x.t, x.server.Delete(harness.Bucket, name))
		x.removed(string(old))
		return
	}
	id, line := x.line("C put " + name)
	must(x.t, x.server.Put(harness.Bucket, name, []byte(string(old)+line), nil))
	x.wrote(id, "C", string(old)+line)
}

// flush has the bucket get everything. An edit of what another client has deleted meanwhile stays where it is, until somebody removes it, as does what
// another client has changed where nobody said to keep both.
func (x *shared) flush(p *sharer) {
	x.log = append(x.log, p.name+" flush")
	p.unsent, p.sends = p.flush(x.t), x.config.eager()
	for _, u := range p.unsent {
		switch {
		case u.gone:
			x.forgive(p, u.key)
		case u.conflict && x.config.OnConflict == writeback.Fail:
		default:
			x.t.Errorf("flush of %s: %s", u.key, u.text)
		}
	}
}

// wins sees, now and then, that what is written as a whole takes the place of whatever is there, where that was asked for.
func (x *shared) wins(what string, p *sharer, name, content string) {
	if x.config.OnConflict != writeback.Overwrite || strings.Contains(what, "append") || x.r.IntN(4) > 0 {
		return
	}
	x.flush(p)
	x.look(p)
	if x.bucket[name] != content && !slices.ContainsFunc(p.unsent, func(u unsent) bool { return u.key == name }) {
		x.t.Errorf("%s: the bucket has then %s, want %s", what, brief(x.bucket[name]), brief(content))
	}
}
