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

// meet has the other mount make a file in a directory, and send it, while this one renames the directory. What is there already is written to by
// nobody: see step.
func (x *shared) meet(p *sharer) {
	q := x.mounts[0]
	if q == p {
		q = x.mounts[1]
	}
	for _, o := range x.mounts {
		if o.sends {
			x.flush(o)
			x.look(o)
		}
	}
	list := []string{"d", "e", "f"}
	i := x.r.IntN(3)
	from, to := list[i], list[(i+1+x.r.IntN(2))%3]
	name := from + "/" + string("ab"[x.r.IntN(2)])
	if _, taken := x.bucket[name]; taken {
		name = fmt.Sprintf("%s/new-%d", from, x.lines)
	}
	what := fmt.Sprintf("%s make %s while %s renames %s to %s", q.name, name, p.name, from, to)
	id, line := x.line(what)
	x.made[line] = true
	must(x.t, os.MkdirAll(q.path(from), 0o755))
	renamed := make(chan error, 1)
	time.AfterFunc(time.Duration(x.r.IntN(1<<x.r.IntN(14)))*time.Microsecond, func() { renamed <- os.Rename(p.path(from), p.path(to)) })
	f, err := os.OpenFile(q.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.WriteString(line)
		if err = errors.Join(err, f.Close()); err == nil {
			x.owed[id] = what
			if err := syncOf(q.path(name)); err != nil {
				x.log = append(x.log, "  fsync: "+err.Error()) // it is elsewhere by now, or waits as a conflict
			}
		}
	}
	x.failed(what, err)
	x.failed(what, <-renamed)
	x.look(q)
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
	clear(p.own)
	for _, u := range p.unsent {
		x.log = append(x.log, "  not sent: "+u.key+": "+u.text)
		switch {
		case u.gone, u.conflict && x.config.OnConflict == writeback.Fail:
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
