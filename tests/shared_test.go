package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// Two mounts and a third client change the same few files of a bucket, one after the other, with what is old in their
// memory and unsent in their stages. Each change adds a line of its own and keeps what it saw, or removes what it saw. So with
// keep-both every line that nobody who saw it removed is in the bucket in the end, and every object is what somebody made as a whole.
// OSSFS_TEST_SHARED_SEED, _RUNS and _STEPS make it longer; a failure names the seed that repeats it.
// SEMANTICS 5.2
func TestSharedBucket(t *testing.T) {
	first := setting("SHARED_SEED", 1)
	for seed := first; seed < first+setting("SHARED_RUNS", 10); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			x := newShared(t, seed)
			for range setting("SHARED_STEPS", 60) {
				side := x.r.IntN(2)
				x.step(side)
				x.look(side)
			}
			x.settle()
			if t.Failed() {
				t.Fatalf("seed %d; the operations were\n%s", seed, strings.Join(x.log, "\n"))
			}
		})
	}
}

const lineSize = 1 << 10 // bytes of a line: what is small, and what is sent in parts, have both many

// shared is a bucket that several clients change.
type shared struct {
	t      *testing.T
	r      *rand.Rand
	server *ossservertest.Server
	beds   [2]*harness.Bed
	open   [2][]*os.File
	log    []string
	bucket map[string]string // what it had when it was looked at last

	lines int
	taken [2]map[string]bool // what each has removed by name
	owed  map[string]string  // line -> what wrote it; who saw a line and removed it has paid
	made  map[string]bool    // contents that somebody made
}

func newShared(t *testing.T, seed int) *shared {
	x := &shared{t: t, r: rand.New(rand.NewPCG(uint64(seed), 1)), server: ossservertest.NewTest(t, ossserver.Options{}),
		owed: map[string]string{}, made: map[string]bool{"": true}}
	for i := range x.beds {
		x.beds[i] = harness.On(t, x.server, func(o *fsOptions) {
			o.Host = string("AB"[i])
			o.SinglePut = 128 << 10
			if x.r.IntN(2) == 0 {
				o.TTL = 0
			}
		})
		x.beds[i].Attach()
		x.taken[i] = map[string]bool{}
	}
	return x
}

// line is one that nobody has written yet.
func (x *shared) line(what string) (string, string) {
	x.lines++
	id := fmt.Sprintf("line %010d\n", x.lines) // 16 bytes
	x.log = append(x.log, what+" "+strings.TrimSpace(id))
	return id, strings.Repeat(id, lineSize/len(id))
}

// lines of a content are told by how they begin.
func linesOf(content string) []string {
	var list []string
	for ; len(content) >= 16; content = content[min(lineSize, len(content)):] {
		list = append(list, content[:16])
	}
	return list
}

// brief is a content in few words.
func brief(content string) string {
	list := linesOf(content)
	for i, id := range list {
		list[i] = strings.Trim(id, "line 0\n\x00")
	}
	if len(list) > 12 {
		list = append(append(list[:6:6], "..."), list[len(list)-6:]...)
	}
	return fmt.Sprintf("%d lines %q", len(linesOf(content)), list)
}

func (x *shared) wrote(id, what, content string) {
	x.owed[id] = what
	x.made[content] = true
}

func (x *shared) removed(content string) {
	for _, id := range linesOf(content) {
		delete(x.owed, id)
	}
}

// failed says whether an operation did, and sees to it that it is for a reason that sharing a bucket gives.
func (x *shared) failed(what string, err error) bool {
	x.t.Helper()
	if err == nil {
		return false
	}
	x.log = append(x.log, "  "+strings.ReplaceAll(err.Error(), filepath.Dir(filepath.Dir(x.beds[0].Dir)), ""))
	allowed := []syscall.Errno{syscall.ENOENT, syscall.ESTALE, syscall.EEXIST, syscall.ENOTEMPTY, syscall.ENOTDIR, syscall.EISDIR}
	if !slices.ContainsFunc(allowed, func(e syscall.Errno) bool { return errors.Is(err, e) }) {
		x.t.Errorf("%s: %v", what, err)
	}
	return true
}

// shows is what a file is to one mount: "" when there is none. Not ok: that cannot be seen.
func (x *shared) shows(path string) (content string, ok bool) {
	p, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", true
	}
	return string(p), !x.failed("read "+path, err)
}

// look notes what the bucket has, when a step of a side has changed that. Who removes a name within the TTL of his knowledge means what is there,
// whether he has seen it or not.
func (x *shared) look(side int) {
	now := map[string]string{}
	for _, key := range x.server.Keys(harness.Bucket) {
		body, _, err := x.server.Content(harness.Bucket, key)
		must(x.t, err)
		now[key] = string(body)
	}
	believes := x.beds[side].Options.TTL > 0
	var news []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if before, was := x.bucket[key]; !was || before != now[key] {
			news = append(news, key+": "+brief(now[key]))
			if believes && x.taken[side][key] { // and something else put there
				x.removed(before)
			}
		}
	}
	for key, before := range x.bucket {
		if _, is := now[key]; !is {
			news = append(news, key+": gone")
			if believes {
				x.removed(before)
			}
		}
	}
	if x.bucket = now; len(news) > 0 {
		x.log = append(x.log, "    the bucket has "+strings.Join(news, "; "))
	}
}

func (x *shared) step(side int) {
	bed := x.beds[side]
	names := []string{"a", "b", "d/a", "d/b", "e/a", "e/b"}
	name, other := names[x.r.IntN(len(names))], names[x.r.IntN(len(names))]
	path := bed.Path(name)
	op := fmt.Sprintf("%c %%s %s", "AB"[side], name)
	switch n := x.r.IntN(100); {
	case n < 18:
		x.add(fmt.Sprintf(op, "rewrite"), path, x.rewrite)
	case n < 30:
		x.add(fmt.Sprintf(op, "replace"), path, x.replace)
	case n < 42:
		x.add(fmt.Sprintf(op, "append to"), path, x.appendTo)
	case n < 52:
		x.edit(fmt.Sprintf(op, "edit"), path)
	case n < 56:
		x.cut(fmt.Sprintf(op, "truncate"), path)
	case n < 60:
		x.remove(fmt.Sprintf(op, "remove"), side, path)
	case n < 66:
		x.move(fmt.Sprintf(op, "rename to "+other), path, bed.Path(other))
	case n < 69:
		x.do(fmt.Sprintf(op, "exchange with "+other), func() error {
			return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, bed.Path(other), unix.RENAME_EXCHANGE)
		})
	case n < 72:
		x.do(fmt.Sprintf(op, "rename d and e for"), func() error {
			return errors.Join(os.Rename(bed.Path("d"), bed.Path("f")), os.Rename(bed.Path("e"), bed.Path("d")), os.Rename(bed.Path("f"), bed.Path("e")))
		})
	case n < 74:
		x.do(fmt.Sprintf(op, "chmod"), func() error { return os.Chmod(path, 0o600|os.FileMode(x.r.IntN(64))) })
	case n < 79:
		x.hold(fmt.Sprintf(op, "open"), side, path)
	case n < 85:
		x.use(side)
	case n < 88:
		x.release(side)
	case n < 91:
		x.do(fmt.Sprintf(op, "fsync"), func() error { return syncOf(path) })
	case n < 95:
		x.theirs(name)
	case n < 98:
		x.log = append(x.log, fmt.Sprintf(op, "flush for"))
		x.flush(side)
	default:
		x.log = append(x.log, fmt.Sprintf(op, "mount again for"))
		for len(x.open[side]) > 0 {
			x.release(side)
		}
		bed.Remount()
	}
}

func (x *shared) do(what string, f func() error) {
	x.log = append(x.log, what)
	x.failed(what, f())
}

// add adds a line to what the mount shows, by one of several ways, and sees that the mount shows it then.
func (x *shared) add(what, path string, by func(path, old, line string) (content string, err error)) {
	must(x.t, os.MkdirAll(filepath.Dir(path), 0o755))
	old, ok := x.shows(path)
	if !ok {
		return
	}
	id, line := x.line(what)
	if old == "" && x.r.IntN(3) == 0 { // a large one, to be sent in parts
		for range 200 {
			_, more := x.line("with")
			x.log = x.log[:len(x.log)-1]
			line += more
		}
	}
	content, err := by(path, old, line)
	if x.failed(what, err) {
		return
	}
	x.replaced(path, old, content)
	for _, id := range linesOf(line) {
		x.owed[id] = what
	}
	if got, ok := x.shows(path); ok && got != content {
		x.t.Errorf("%s %q: it has then %s, want %s", what, id, brief(got), brief(content))
	}
}

// replaced notes that a name has another content. Who believes what he knew a minute ago means whatever the name has by now.
func (x *shared) replaced(path, seen, by string) {
	for side, bed := range x.beds {
		key, mine := strings.CutPrefix(path, bed.Dir+"/")
		if believes := x.beds[side].Options.TTL > 0; mine && believes {
			now, _, err := x.server.Content(harness.Bucket, key)
			must(x.t, err)
			seen += string(now)
		}
	}
	for _, id := range linesOf(seen) {
		if !strings.Contains(by, id) {
			delete(x.owed, id)
		}
	}
}

func (x *shared) rewrite(path, old, line string) (string, error) {
	x.made[old+line] = true
	return old + line, os.WriteFile(path, []byte(old+line), 0o644)
}

func (x *shared) replace(path, old, line string) (string, error) {
	if x.held(path) {
		return x.rewrite(path, old, line)
	}
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

func syncOf(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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
func (x *shared) put(what string, f *os.File) {
	id, line := x.line(what)
	old, ok := x.through(what, f)
	if !ok {
		return
	}
	at := x.r.IntN(len(old)/lineSize + 1)
	before := old[at*lineSize : min((at+1)*lineSize, len(old))]
	content := old[:at*lineSize] + line + old[at*lineSize+len(before):]
	x.made[content] = true
	if _, err := f.WriteAt([]byte(line), int64(at)*lineSize); x.failed(what, err) {
		return
	}
	x.removed(before)
	if x.wrote(id, what, content); nameless(f) {
		delete(x.owed, id)
	}
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

func (x *shared) remove(what string, side int, path string) {
	old, ok := x.shows(path)
	if x.log = append(x.log, what); ok && !x.held(path) && !x.failed(what, os.Remove(path)) {
		x.taken[side][strings.TrimPrefix(path, x.beds[side].Dir+"/")] = true
		x.removed(old)
	}
}

func (x *shared) move(what, from, to string) {
	source, ok := x.shows(from)
	target, seen := x.shows(to)
	if x.log = append(x.log, what); !ok || !seen || x.held(to) || from == to || x.failed(what, os.Rename(from, to)) {
		return
	}
	x.replaced(to, target, source)
}

// nameOf is where an open file is now.
func nameOf(f *os.File) string {
	at, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // "" is no name
	return at
}

// nameless says whether a file that is open was removed, or replaced, or is no longer known by its name.
func nameless(f *os.File) bool {
	at := nameOf(f)
	return at == "" || strings.HasSuffix(at, " (deleted)")
}

// held says whether a mount's file is open. After a conflict it goes on with what it wrote, by that name, too, though the name is another client's by then:
// who replaces it has not seen what he replaces.
func (x *shared) held(path string) bool {
	return slices.ContainsFunc(slices.Concat(x.open[0], x.open[1]), func(f *os.File) bool { return nameOf(f) == path })
}

// hold opens a file, for later.
func (x *shared) hold(what string, side int, path string) {
	x.log = append(x.log, what)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if !x.failed(what, err) {
		x.open[side] = append(x.open[side], f)
	}
}

func (x *shared) use(side int) {
	if files := x.open[side]; len(files) > 0 {
		f := files[x.r.IntN(len(files))]
		x.put("write to open "+f.Name(), f)
	}
}

func (x *shared) release(side int) {
	if files := x.open[side]; len(files) > 0 {
		x.do("close "+files[0].Name(), files[0].Close)
		x.open[side] = files[1:]
	}
}

// theirs is a change by a client that is no mount.
func (x *shared) theirs(name string) {
	old, _, err := x.server.Content(harness.Bucket, name)
	must(x.t, err)
	id, line := x.line("C put " + name)
	must(x.t, x.server.Put(harness.Bucket, name, []byte(string(old)+line), nil))
	x.wrote(id, "C", string(old)+line)
}

// flush has the bucket get everything. An edit of what another client has deleted meanwhile stays where it is, until somebody removes it.
func (x *shared) flush(side int) {
	mount := x.beds[side].Mount
	err := mount.Flush(x.t.Context(), "", nil)
	if unsent := new(*writeback.Unsent); err == nil || !errors.As(err, unsent) {
		must(x.t, err)
		return
	}
	for _, failure := range mount.Status().Writeback.Failures {
		if !errors.Is(failure.Err, ossclient.ErrNotExist) {
			x.t.Errorf("flush of %s: %v", failure.Key, failure.Err)
		}
		for id, what := range x.owed {
			if strings.HasSuffix(what, string(failure.Key)) {
				delete(x.owed, id)
			}
		}
	}
}

// settle has everything sent, and looks into the bucket.
func (x *shared) settle() {
	for side := range x.beds {
		for len(x.open[side]) > 0 {
			x.release(side)
		}
		x.log = append(x.log, "flush, at the end")
		x.flush(side)
		x.look(side)
	}
	found := map[string]bool{}
	for _, key := range x.server.Keys(harness.Bucket) {
		body, _, err := x.server.Content(harness.Bucket, key)
		must(x.t, err)
		if !x.made[string(body)] && !strings.Contains(key, ".conflict-") {
			x.t.Errorf("%s has what nobody made: %s", key, brief(string(body)))
		}
		for _, id := range linesOf(string(body)) {
			found[id] = true
		}
	}
	for id, what := range x.owed {
		if !found[id] {
			x.t.Errorf("lost: %q of %q", id, what)
		}
	}
	harness.Eventually(x.t, "the end of all uploads", func() bool { return len(x.server.Uploads(harness.Bucket)) == 0 })
}
