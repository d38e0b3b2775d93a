package tests

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// Two mounts and a third client change the same few files of a bucket, one after the other, with what is old in their
// memory and unsent in their stages. Each change adds a line of its own and keeps what it saw, or removes what it saw. So with
// keep-both every line that nobody who saw it removed is in the bucket in the end, and every object is what somebody made as a whole. With fail
// that is so of what is in the bucket or listed as unsent; with overwrite a line may be lost that was in the bucket.
// What the mounts are like is of the seed's choice: processes that are killed, a server that fails, a small stage, a short delay.
// OSSFS_TEST_SHARED_SEED, _RUNS and _STEPS make it longer; a failure names the seed that repeats it.
// SEMANTICS 1.1, 1.8, 5.2
func TestSharedBucket(t *testing.T) {
	first, program := setting("SHARED_SEED", 1), sync.OnceValue(func() string { return harness.Build(t) })
	for seed := first; seed < first+setting("SHARED_RUNS", 8); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			x := newShared(t, seed, program)
			for range setting("SHARED_STEPS", 60) {
				p := x.mounts[x.r.IntN(2)]
				x.step(p)
				x.look(p)
			}
			x.settle()
			if t.Failed() {
				t.Fatalf("seed %d, %+v, TTL of A %v, of B %v; the operations were\n%s", seed, x.config, x.mounts[0].ttl, x.mounts[1].ttl, strings.Join(x.log, "\n"))
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
	config sharing
	mounts [2]*sharer
	last   *sharer // who did something last
	log    []string
	bucket map[string]string // what it had when it was looked at last

	lines int
	owed  map[string]string // line -> what wrote it; who saw a line and removed it has paid
	made  map[string]bool   // contents that somebody made
	torn  []string          // contents that somebody was making when he was killed
}

func newShared(t *testing.T, seed int, program func() string) *shared {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	x := &shared{t: t, r: r, server: ossservertest.NewTest(t, ossserver.Options{Seed: uint64(seed)}), config: newSharing(r),
		owed: map[string]string{}, made: map[string]bool{"": true}}
	for i := range x.mounts {
		x.mounts[i] = &sharer{name: string("AB"[i]), ttl: time.Duration(r.IntN(2)) * time.Minute, taken: map[string]bool{}, own: map[string]bool{}}
		x.mounts[i].mount(t, x.server, x.config, program)
	}
	if x.last = x.mounts[0]; x.config.Faulty {
		x.server.SetFaults(sharedFaults()...)
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

// linesOf are the lines of a content. They are told by how they begin.
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

// pieces are the lines of a file that can be read one by one: of an edit of what others have taken away, those that are here.
func (x *shared) pieces(path string) (ids []string) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0) // of a page of the kernel's all must be there
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	line := make([]byte, lineSize)
	for at := int64(0); at < info.Size(); at += lineSize {
		if n, _ := f.ReadAt(line, at); n > 0 {
			ids = append(ids, linesOf(string(line[:n]))...)
		}
	}
	return ids
}

// begun says whether a content is the beginning of one that was being made when the mount was killed.
func (x *shared) begun(content string) bool {
	return slices.ContainsFunc(x.torn, func(whole string) bool { return strings.HasPrefix(whole, content) })
}

func (x *shared) removed(content string) {
	for _, id := range linesOf(content) {
		delete(x.owed, id)
	}
}

// replaced notes that a name has another content. Who believes what he knew a minute ago may have looked again when he was asked to replace it, and
// means what the name has by now: but not where content of his own waits, unless that is sent by itself, and has given way.
func (x *shared) replaced(p *sharer, name, seen, by string) {
	if p.sends || p.believes() && !p.own[name] {
		now, _, err := x.server.Content(harness.Bucket, name)
		must(x.t, err)
		seen += string(now) + x.bucket[name]
	}
	p.own[name] = true
	for _, id := range linesOf(seen) {
		if !strings.Contains(by, id) {
			delete(x.owed, id)
		}
	}
}

// failed says whether an operation did, and sees to it that it is for a reason that sharing a bucket gives.
func (x *shared) failed(what string, err error) bool {
	x.t.Helper()
	if err == nil {
		return false
	}
	text := err.Error()
	for _, p := range x.mounts {
		text = strings.ReplaceAll(text, p.dir, p.name+":")
	}
	x.log = append(x.log, "  "+text)
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

// look notes what the bucket has, when a step of a mount has changed that. Who removes a name within the TTL of his knowledge means what is there,
// whether he has seen it or not.
func (x *shared) look(p *sharer) {
	now := map[string]string{}
	for _, key := range x.server.Keys(harness.Bucket) {
		body, _, err := x.server.Content(harness.Bucket, key)
		must(x.t, err)
		now[key] = string(body)
	}
	var news []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if before, was := x.bucket[key]; !was || before != now[key] {
			news = append(news, key+": "+brief(now[key]))
			if p.believes() && p.taken[key] { // and something else put there
				x.removed(before)
			}
			x.overwritten(before, now[key])
		}
	}
	for key, before := range x.bucket {
		if _, is := now[key]; !is {
			news = append(news, key+": gone")
			if p.believes() && p.taken[key] {
				x.removed(before)
			}
			x.overwritten(before, "")
		}
	}
	if x.bucket = now; len(news) > 0 {
		x.log = append(x.log, "    the bucket has "+strings.Join(news, "; "))
	}
}

// overwritten notes that an object has another content: where that was asked for, nobody looked at what was there.
func (x *shared) overwritten(before, by string) {
	if x.config.OnConflict != writeback.Overwrite {
		return
	}
	for _, id := range linesOf(before) {
		if !strings.Contains(by, id) {
			delete(x.owed, id)
		}
	}
}

// settle has everything sent, and looks into the bucket.
func (x *shared) settle() {
	for _, p := range []*sharer{x.last, x.mounts[0], x.mounts[1]} {
		for len(p.open) > 0 {
			x.release(p)
		}
		x.log = append(x.log, "flush, at the end")
		x.flush(p)
		x.look(p)
	}
	found := map[string]bool{}
	for key, body := range x.bucket {
		if !x.made[body] && !x.begun(body) && !strings.Contains(key, ".conflict-") {
			x.t.Errorf("%s has what nobody made: %s", key, brief(body))
		}
		for _, id := range linesOf(body) {
			found[id] = true
		}
	}
	for _, p := range x.mounts {
		for _, u := range p.unsent { // it is kept here
			for _, id := range x.pieces(p.path(u.key)) {
				found[id] = true
			}
		}
	}
	lost := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(x.owed)) {
		if !found[id] {
			lost[x.owed[id]] += id
		}
	}
	for what, lines := range lost {
		x.t.Errorf("lost, of %s: %q", what, strings.ReplaceAll(lines[:min(len(lines), 64)], "line 000000", ""))
	}
	harness.Eventually(x.t, "the end of all uploads", func() bool { return len(x.server.Uploads(harness.Bucket)) == 0 })
}
