package namespace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// racer changes keys while requests are under way.
type racer struct {
	*world
	r       *rand.Rand
	foreign bool
	touched map[ossclient.Key]bool
	kept    map[ossclient.Key]bool // confirmed, and in the overlay yet
	log     []string
	size    int
}

// racedKeys are files of the root, a directory with an object of its own, and one without.
var racedKeys = []ossclient.Key{"a", "b", "c", "d", "e", "f", "g/", "g/a", "g/b", "h/a", "h/b"}

// below says whether any of the keys in a directory is among them.
func below[V any](keys map[ossclient.Key]V, dir ossclient.Key) bool {
	for key := range keys {
		if strings.HasPrefix(string(key), string(dir)) {
			return true
		}
	}
	return false
}

func (m *racer) change() {
	key := racedKeys[m.r.IntN(len(racedKeys))]
	m.size++
	body := make([]byte, m.size)
	if m.kept[key] && m.r.IntN(2) == 0 {
		m.log = append(m.log, fmt.Sprintf("drop %s", key))
		delete(m.kept, key)
		m.overlay.drop(key) // nobody can tell the difference
		return
	}
	m.touched[key] = true
	switch n := m.r.IntN(12); {
	case n < 3:
		m.log = append(m.log, fmt.Sprintf("create %s %d", key, m.size))
		delete(m.kept, key)
		if isDirKey(key) {
			m.create(key, "", attr.TypeDir|0o755)
		} else {
			m.create(key, string(body), attr.TypeFile|0o644)
		}
	case n < 5:
		m.log = append(m.log, fmt.Sprintf("remove %s", key))
		delete(m.kept, key)
		m.removeOwn(key)
	case n < 7:
		m.log = append(m.log, fmt.Sprintf("confirm %s", key))
		m.kept[key] = m.confirm(key)
	case n < 11 || !m.foreign:
		m.log = append(m.log, fmt.Sprintf("send %s", key))
		delete(m.kept, key)
		m.send(key)
	default:
		if _, ok := m.overlay.Lookup(key); ok {
			return
		}
		m.log = append(m.log, fmt.Sprintf("foreign put %s %d", key, m.size))
		m.bucket.put(key, string(body), 0)
	}
}

func (m *racer) check(ctx context.Context, op int) error {
	clear(m.touched)
	before := m.merged()
	m.log = append(m.log, fmt.Sprintf("question %d", op))
	verify := func(key ossclient.Key, size int64, there bool) error {
		want, ok := before[key]
		if !m.touched[key] && (there != ok || there && size != want.size) {
			return fmt.Errorf("%s: got size %d, there %v; want %d, %v", key, size, there, want.size, ok)
		}
		return nil
	}
	verifyDir := func(dir ossclient.Key, there bool) error {
		if want := below(before, dir); !below(m.touched, dir) && there != want {
			return fmt.Errorf("%s: there %v, want %v", dir, there, want)
		}
		return nil
	}
	if op == 0 {
		for _, dir := range []ossclient.Key{"", "g/", "h/"} {
			if err := m.checkList(ctx, dir, verify, verifyDir); err != nil {
				return fmt.Errorf("list %q: %w", dir, err)
			}
			clear(m.touched)
			before = m.merged()
		}
		return nil
	}
	key := racedKeys[m.r.IntN(len(racedKeys))]
	dir, name := names.Split(key)
	e, err := m.tree.Lookup(ctx, dir, name)
	synctest.Wait()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isDirKey(key) {
		return verifyDir(key, err == nil && e.Dir)
	}
	if err := verify(key, e.Size, err == nil); err != nil {
		return fmt.Errorf("lookup: %w", err)
	}
	return nil
}

// checkList lists a directory.
func (m *racer) checkList(ctx context.Context, dir ossclient.Key, verify func(ossclient.Key, int64, bool) error, verifyDir func(ossclient.Key, bool) error) error {
	list, err := m.entries(ctx, dir)
	synctest.Wait() // questions whose answers are not needed may be under way
	if err != nil {
		return err
	}
	got, err := asShown(list)
	if err != nil {
		return err
	}
	for _, key := range racedKeys {
		switch in, name := names.Split(key); {
		case in == dir && !isDirKey(key):
			s, ok := got[name]
			err = errors.Join(err, verify(key, s.size, ok))
		case dir == "" && isDirKey(key):
			_, ok := got[name+"/"]
			err = errors.Join(err, verifyDir(key, ok))
		case dir == "" && in == "h/":
			_, ok := got["h/"]
			err = errors.Join(err, verifyDir(in, ok))
		}
	}
	return err
}

// Whatever is staged, sent, confirmed or removed while requests are under way: what did not change is seen as it is.
func TestChangesDuringRequests(t *testing.T) {
	for _, tt := range []struct {
		ttl     time.Duration
		foreign bool
	}{{0, true}, {time.Hour, false}} {
		for seed := range uint64(80) {
			synctest.Test(t, func(t *testing.T) {
				m := &racer{world: newWorld(t, func(o *Options) { o.TTL = tt.ttl }), r: rand.New(rand.NewPCG(seed, 2)), foreign: tt.foreign, touched: map[ossclient.Key]bool{}, kept: map[ossclient.Key]bool{}}
				defer m.close(t)
				m.bucket.pageKeys = int(seed % 3)
				turn := make(chan struct{}, 1) // one change at a time
				m.bucket.between = func() {
					turn <- struct{}{}
					for range m.r.IntN(3) {
						m.change()
					}
					<-turn
				}
				for range 60 {
					turn <- struct{}{}
					for range m.r.IntN(4) {
						m.change()
					}
					op := m.r.IntN(2)
					<-turn
					if err := m.check(t.Context(), op); err != nil {
						t.Fatalf("TTL %v seed %d: %v\n%v", tt.ttl, seed, err, m.log[max(0, len(m.log)-25):])
					}
					synctest.Wait()
				}
			})
		}
	}
}

// A file was removed while it was on its way to the bucket; that it has arrived is confirmed while the bucket is asked
// whether the directory is empty. It is.
func TestEmptyWhileWhatWasRemovedArrives(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close(t)
	w.bucket.put("d/", "", attr.TypeDir|0o755)
	w.removeOwn("d/f")
	w.removeOwn("d/sub/f")
	w.bucket.between = func() {
		w.bucket.between = nil
		for _, key := range []ossclient.Key{"d/f", "d/sub/f"} {
			w.tree.Confirmed(Confirmation{Key: key, Object: w.bucket.put(key, "body", attr.TypeFile|0o644)})
		}
	}
	if empty, err := w.tree.Empty(t.Context(), "d/"); !empty || err != nil {
		t.Errorf("got %v, %v", empty, err)
	}
	w.bucket.between = func() { // and something that is there is not overlooked
		w.bucket.between = nil
		w.create("d/g", "body", attr.TypeFile|0o644)
		w.send("d/g")
	}
	if empty, err := w.tree.Empty(t.Context(), "d/"); empty || err != nil {
		t.Errorf("with a file that was sent meanwhile: got %v, %v", empty, err)
	}
}
