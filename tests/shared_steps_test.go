package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

func (x *shared) name() string {
	names := []string{"a", "d/a", "e/a", "b", "d/b", "e/b"}
	return names[x.r.IntN(x.config.Names)]
}

// step is something that a mount does. Where mounts send by themselves, nobody else does anything until all is sent: between the look
// at what they overwrite and the request that does nobody may change it.
func (x *shared) step(p *sharer) {
	name, n := x.name(), x.r.IntN(100)
	kill := p.process != nil && x.r.IntN(16) == 0
	if x.last.sends && (x.last != p || n >= 91 && n < 95) {
		x.flush(x.last)
		x.look(x.last)
	}
	x.last = p
	op := p.name + " %s " + name
	if kill || n >= 54 && n < 74 || n >= 88 { // not only written to
		clear(p.own)
	}
	switch {
	case kill:
		x.kill(p)
	case n < 58:
		x.change(p, op, name, n)
	case n < 70:
		x.rename(p, op, name, n)
	case n < 74:
		x.attributes(p, op, name)
	case n < 88:
		x.handles(p, op, name, n)
	case n < 91:
		x.sync(p, op, name)
	case n < 95:
		x.theirs(name)
	case n < 96:
		x.flush(p)
	case n < 98:
		x.meet(p)
	default:
		x.log = append(x.log, p.name+" is mounted again")
		for len(p.open) > 0 {
			x.release(p)
		}
		p.again()
	}
}

func (x *shared) change(p *sharer, op, name string, n int) {
	switch {
	case n < 16:
		x.add(fmt.Sprintf(op, "rewrite"), p, name, x.rewrite)
	case n < 27:
		x.add(fmt.Sprintf(op, "replace"), p, name, x.replace)
	case n < 39:
		x.add(fmt.Sprintf(op, "append to"), p, name, x.appendTo)
	case n < 49:
		x.edit(fmt.Sprintf(op, "edit"), p.path(name))
	case n < 54:
		x.cut(fmt.Sprintf(op, "truncate"), p.path(name))
	default:
		x.remove(fmt.Sprintf(op, "remove"), p, name)
	}
}

func (x *shared) rename(p *sharer, op, name string, n int) {
	other := x.name()
	switch {
	case n < 63:
		x.move(fmt.Sprintf(op, "rename to "+other), p, name, other)
	case n < 66:
		x.do(fmt.Sprintf(op, "exchange with "+other), func() error {
			return unix.Renameat2(unix.AT_FDCWD, p.path(name), unix.AT_FDCWD, p.path(other), unix.RENAME_EXCHANGE)
		})
		p.sends = true // what it puts where something was to be deleted may be sent with that
	case n < 68:
		x.do(p.name+" rename d and e for each other", func() error { return turn(p) })
	default:
		x.directories(p)
	}
}

func (x *shared) handles(p *sharer, op, name string, n int) {
	switch {
	case n < 77:
		x.hold(fmt.Sprintf(op, "open"), p, name, os.O_RDWR)
	case n < 80:
		x.begin(fmt.Sprintf(op, "create"), p, name)
	case n < 85:
		x.use(p)
	default:
		x.release(p)
	}
}

func (x *shared) do(what string, f func() error) {
	x.log = append(x.log, what)
	x.failed(what, f())
}

// add adds a line to what the mount shows, by one of several ways, and sees that the mount shows it then.
func (x *shared) add(what string, p *sharer, name string, by func(path, old, line string) (content string, err error)) {
	path := p.path(name)
	must(x.t, os.MkdirAll(filepath.Dir(path), 0o755))
	old, ok := x.shows(path)
	if !ok {
		return
	}
	id, line := x.line(what)
	x.log = append(x.log, "  over "+brief(old))
	if old == "" && x.r.IntN(3) == 0 { // a large one, to be sent in parts
		line += x.lots(200)
	}
	content, err := by(path, old, line)
	if x.failed(what, err) {
		return
	}
	x.replaced(p, name, old, content)
	for _, id := range linesOf(line) {
		x.owed[id] = what
	}
	if got, ok := x.shows(path); ok && got != content && !x.passed(p, name, old, content) {
		x.t.Errorf("%s %q: it has then %s, want %s", what, id, brief(got), brief(content))
	}
	x.wins(what, p, name, content)
}

// passed says whether what a mount shows may be another client's, or of both, because ours was sent already, and found that one's there: by a mount that
// sends by itself, or where something was to be deleted, as soon as that can be; then ours is beside it.
func (x *shared) passed(p *sharer, name, old, content string) bool {
	body, _, err := x.server.Content(harness.Bucket, name)
	must(x.t, err)
	return string(body) != old && string(body) != content && (p.sends || p.beside(name, content))
}

// beside says whether content of a mount's own is beside a name.
func (p *sharer) beside(name, content string) bool {
	list, _ := filepath.Glob(p.path(name) + ".conflict-*")
	return slices.ContainsFunc(list, func(path string) bool {
		got, err := os.ReadFile(path)
		return err == nil && string(got) == content
	})
}

func (x *shared) rewrite(path, old, line string) (string, error) {
	x.made[old+line] = true
	return old + line, os.WriteFile(path, []byte(old+line), 0o644)
}

func (x *shared) replace(path, old, line string) (string, error) {
	temporary := path + ".new"
	x.made[old+line] = true
	return old + line, errors.Join(os.WriteFile(temporary, []byte(old+line), 0o644), os.Rename(temporary, path))
}

// appendTo adds to what is there when it is opened, which may be news.
func (x *shared) appendTo(path, _, line string) (string, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	old, _ := io.ReadAll(f) // what cannot be read is not there any more
	content := string(old) + line
	x.made[content] = true
	_, err = f.WriteString(line)
	return content, errors.Join(err, f.Close())
}

// edit puts a line in the place of another.
func (x *shared) edit(what, path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if x.failed(what, err) {
		return
	}
	x.put(what, f)
	x.failed(what, f.Close())
}

// put writes a line through an open file, where another may be.
func (x *shared) put(what string, f *os.File) (ids []string) {
	_, line := x.line(what)
	old, ok := x.through(what, f)
	if !ok {
		return nil
	}
	return x.store(what, f, old, line, x.r.IntN(len(old)/lineSize+1)*lineSize)
}

// store writes lines through an open file, at some place of what it has.
func (x *shared) store(what string, f *os.File, old, lines string, at int) (ids []string) {
	before := old[at:min(at+len(lines), len(old))]
	content := old[:at] + lines + old[at+len(before):]
	x.made[content] = true
	ids = linesOf(lines)
	if _, err := f.WriteAt([]byte(lines), int64(at)); x.failed(what, err) {
		return ids
	}
	x.removed(before)
	for _, id := range ids {
		if x.owed[id] = what; nameless(f) {
			delete(x.owed, id)
		}
	}
	return ids
}

// through is what an open file has.
func (x *shared) through(what string, f *os.File) (string, bool) {
	var b bytes.Buffer
	if _, err := f.Seek(0, 0); x.failed(what, err) {
		return "", false
	}
	_, err := b.ReadFrom(f)
	return b.String(), !x.failed(what, err)
}

func (x *shared) cut(what, path string) {
	old, ok := x.shows(path)
	if x.log = append(x.log, what); !ok {
		return
	}
	size := x.r.IntN(len(old)/lineSize+1) * lineSize
	x.made[old[:size]] = true
	if !x.failed(what, os.Truncate(path, int64(size))) {
		x.removed(old[size:])
	}
}

func (x *shared) remove(what string, p *sharer, name string) {
	path := p.path(name)
	old, ok := x.shows(path)
	if x.log = append(x.log, what); ok && !x.failed(what, os.Remove(path)) {
		p.taken[name] = true
		x.removed(old)
	}
}

func (x *shared) move(what string, p *sharer, from, to string) {
	source, ok := x.shows(p.path(from))
	target, seen := x.shows(p.path(to))
	x.log = append(x.log, "  over "+brief(target))
	if x.log = append(x.log, what); !ok || !seen || from == to || x.failed(what, os.Rename(p.path(from), p.path(to))) {
		return
	}
	x.replaced(p, to, target, source)
}

// nameOf is where an open file is now.
func nameOf(f *os.File) string {
	at, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // "" is no name
	return at
}

// nameless says whether a file that is open was removed, or replaced, or is no longer known by its name. Where the kernel has let go of its
// directory it still names the file, so the mount is asked, too.
func nameless(f *os.File) bool {
	at := nameOf(f)
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_NLINK, &st)
	return at == "" || strings.HasSuffix(at, " (deleted)") || err == nil && st.Nlink == 0
}

// hold opens a file, for later.
func (x *shared) hold(what string, p *sharer, name string, flags int) bool {
	x.log = append(x.log, what)
	f, err := os.OpenFile(p.path(name), flags, 0o644)
	if x.failed(what, err) {
		return false
	}
	p.open = append(p.open, &held{File: f})
	return true
}

// begin makes a file anew, to be written little by little.
func (x *shared) begin(what string, p *sharer, name string) {
	must(x.t, os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	old, ok := x.shows(p.path(name))
	if ok && x.hold(what, p, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC) {
		x.replaced(p, name, old, "")
		x.grow(what, p.open[len(p.open)-1])
	}
}

// grow adds many lines to an open file.
func (x *shared) grow(what string, f *held) {
	_, lines := x.line(what)
	lines += x.lots(1 + x.r.IntN(400))
	if old, ok := x.through(what, f.File); ok {
		f.unsafe = append(f.unsafe, x.store(what, f.File, old, lines, len(old)/lineSize*lineSize)...)
	}
}

// lots are so many lines more.
func (x *shared) lots(n int) (lines string) {
	for range n {
		_, more := x.line("with")
		x.log = x.log[:len(x.log)-1]
		lines += more
	}
	return lines
}

func (x *shared) use(p *sharer) {
	if len(p.open) == 0 {
		return
	}
	f := p.open[x.r.IntN(len(p.open))]
	what := p.name + " %s open " + strings.TrimPrefix(f.Name(), p.dir+"/")
	switch x.r.IntN(8) {
	case 0:
		what = fmt.Sprintf(what, "fsync")
		if x.log = append(x.log, what); !x.failed(what, f.Sync()) {
			f.unsafe = nil
		}
	case 1:
		x.shorten(fmt.Sprintf(what, "cut"), f)
	case 2, 3:
		x.grow(fmt.Sprintf(what, "write much to"), f)
	default:
		f.unsafe = append(f.unsafe, x.put(fmt.Sprintf(what, "write to"), f.File)...)
	}
}

// shorten cuts an open file.
func (x *shared) shorten(what string, f *held) {
	x.log = append(x.log, what)
	old, ok := x.through(what, f.File)
	if !ok {
		return
	}
	size := x.r.IntN(len(old)/lineSize+1) * lineSize
	x.made[old[:size]] = true
	if !x.failed(what, f.Truncate(int64(size))) {
		x.removed(old[size:])
	}
}

func (x *shared) release(p *sharer) {
	if len(p.open) > 0 {
		f := p.open[0]
		x.do(p.name+" close "+strings.TrimPrefix(f.Name(), p.dir+"/"), f.Close)
		p.open = p.open[1:]
	}
}
