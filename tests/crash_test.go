package tests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// kill -9 at a random moment, again and again: what close confirmed is there in the next mount, and what fsync
// confirmed is in the bucket. OSSFS_TEST_CRASH_RUNS asks for more, _SEED repeats one.
func TestCrash(t *testing.T) {
	first := setting("CRASH_SEED", 1)
	for seed := first; seed < first+setting("CRASH_RUNS", 5); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := ossservertest.NewTest(t, ossserver.Options{Latency: time.Millisecond})
			p := harness.NewProcess(t, s)
			w := &crashWorld{t: t, r: rand.New(rand.NewPCG(uint64(seed), 1)), p: p, files: map[string][]byte{}}
			for range 4 {
				w.round()
				if t.Failed() {
					t.Fatalf("seed %d; the operations were\n%s", seed, strings.Join(w.log[max(0, len(w.log)-40):], "\n"))
				}
			}
			p.Start()
			p.Stop()
			w.checkBucket()
			if t.Failed() {
				t.Fatalf("seed %d; the operations were\n%s", seed, strings.Join(w.log, "\n"))
			}
		})
	}
}

// crashWorld is what a killed mount must still have.
type crashWorld struct {
	t     *testing.T
	r     *rand.Rand
	p     *harness.Process
	files map[string][]byte // confirmed by close
	log   []string
	count int
	clear func() // what the operation that the kill interrupted leaves to be cleared up
}

// round mounts, looks, works and is killed.
func (w *crashWorld) round() {
	w.p.Start()
	w.check()
	killed := make(chan struct{})
	after := time.Duration(5+w.r.IntN(150)) * time.Millisecond
	time.AfterFunc(after, func() {
		w.p.Kill()
		close(killed)
	})
	for w.work() {
	}
	<-killed
	w.p.Clear()
	w.log = append(w.log, "killed")
	if w.clear != nil {
		w.clear()
		w.clear = nil
	}
}

// check compares what the mount shows with what was confirmed.
func (w *crashWorld) check() {
	for name, want := range w.files {
		wantFile(w.t, filepath.Join(w.p.Dir, name), want)
	}
	list, err := os.ReadDir(w.p.Dir)
	if err != nil {
		w.t.Error(err)
	}
	for _, e := range list {
		if _, ok := w.files[e.Name()]; !ok {
			w.t.Errorf("%s is there, and was removed", e.Name())
		}
	}
}

func (w *crashWorld) checkBucket() {
	for name, want := range w.files {
		o, ok := w.p.Server.Object(harness.Bucket, name)
		if !ok {
			w.t.Errorf("the bucket has no %s", name)
			continue
		}
		body, err := o.Body()
		must(w.t, err)
		wantBytes(w.t, "object "+name, body, want)
	}
	// An upload that was begun in the moment of the kill is known to nobody but the bucket: `ossfs uploads` finds it.
	if list := w.p.Server.Uploads(harness.Bucket); len(list) != 0 {
		w.t.Logf("%d multipart uploads are left over: %v", len(list), list)
	}
}

// work does one operation; false when the mount died meanwhile. What the operation was about to change is
// then in doubt, and is taken out of the reckoning under a name of its own.
func (w *crashWorld) work() bool {
	w.count++
	names := make([]string, 0, len(w.files))
	for name := range w.files {
		names = append(names, name)
	}
	slices.Sort(names)
	fresh := fmt.Sprintf("f%d", w.count)
	old := fresh
	if len(names) > 0 {
		old = names[w.r.IntN(len(names))]
	}
	content := noise(uint64(w.count), w.r.IntN(100_000))
	if w.r.IntN(20) == 0 {
		content = noise(uint64(w.count), 20<<20)
	}
	switch n := w.r.IntN(10); {
	case n < 5 || len(names) == 0:
		return w.write(fresh, content, n == 0)
	case n < 6:
		return w.write(old, content, false)
	case n < 7:
		return w.edit(old)
	case n < 9:
		return w.rename(old, fresh)
	default:
		return w.remove(old)
	}
}

// write creates or replaces a file, and maybe asks for the bucket.
func (w *crashWorld) write(name string, content []byte, sync bool) bool {
	w.log = append(w.log, fmt.Sprintf("write %s, %d bytes, fsync %v", name, len(content), sync))
	path := filepath.Join(w.p.Dir, name)
	f, err := os.Create(path)
	if err == nil {
		_, err = f.Write(content)
		if err == nil && sync {
			if err = f.Sync(); err == nil {
				w.wantInBucket(name, content)
			}
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	return w.done(err, name, content)
}

func (w *crashWorld) wantInBucket(name string, content []byte) {
	o, ok := w.p.Server.Object(harness.Bucket, name)
	if !ok {
		w.t.Errorf("fsync of %s returned, and the bucket does not have it", name)
		return
	}
	if body, err := o.Body(); err != nil || !bytes.Equal(body, content) {
		w.t.Errorf("fsync of %s returned, and the bucket has other bytes (%v)", name, err)
	}
}

// edit changes a few bytes in the middle.
func (w *crashWorld) edit(name string) bool {
	w.log = append(w.log, "edit "+name)
	content := slices.Clone(w.files[name])
	f, err := os.OpenFile(filepath.Join(w.p.Dir, name), os.O_RDWR, 0)
	if err == nil {
		at := len(content) / 2
		_, err = f.WriteAt([]byte("EDIT"), int64(at))
		if n := at + 4 - len(content); n > 0 {
			content = append(content, make([]byte, n)...)
		}
		copy(content[at:], "EDIT")
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	return w.done(err, name, content)
}

// done takes note of how a change of one file ended.
func (w *crashWorld) done(err error, name string, content []byte) bool {
	if err == nil {
		w.files[name] = content
		return true
	}
	w.log = append(w.log, "... "+err.Error())
	w.clear = func() { w.doubt(name) }
	return false
}

// doubt forgets a file; the next mount removes it, so that nothing is said of it.
func (w *crashWorld) doubt(name string) {
	delete(w.files, name)
	w.p.Start()
	defer w.p.Clear()
	defer w.p.Kill()
	if err := os.Remove(filepath.Join(w.p.Dir, name)); err != nil && !os.IsNotExist(err) {
		w.t.Error(err)
	}
}

func (w *crashWorld) rename(from, to string) bool {
	w.log = append(w.log, "rename "+from+" "+to)
	err := os.Rename(filepath.Join(w.p.Dir, from), filepath.Join(w.p.Dir, to))
	content := w.files[from]
	if err == nil {
		delete(w.files, from)
		w.files[to] = content
		return true
	}
	w.log = append(w.log, "... "+err.Error())
	w.clear = func() { w.whereIs(content, from, to) }
	return false
}

// whereIs looks where an interrupted rename left the file: it must be whole, at one place.
func (w *crashWorld) whereIs(content []byte, from, to string) {
	w.p.Start()
	defer w.p.Clear()
	defer w.p.Kill()
	delete(w.files, from)
	a, errA := os.ReadFile(filepath.Join(w.p.Dir, from))
	b, errB := os.ReadFile(filepath.Join(w.p.Dir, to))
	switch {
	case errA == nil && errB == nil:
		w.t.Errorf("an interrupted rename left both %s and %s", from, to)
	case errA == nil && bytes.Equal(a, content):
		w.files[from] = content
	case errB == nil && bytes.Equal(b, content):
		w.files[to] = content
	default:
		w.t.Errorf("an interrupted rename lost the file: %s %v, %s %v", from, errA, to, errB)
	}
}

func (w *crashWorld) remove(name string) bool {
	w.log = append(w.log, "remove "+name)
	err := os.Remove(filepath.Join(w.p.Dir, name))
	delete(w.files, name)
	if err != nil {
		w.log = append(w.log, "... "+err.Error())
		w.clear = func() { w.doubt(name) }
		return false
	}
	return true
}
