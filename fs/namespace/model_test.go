package namespace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// shown is what should be seen of a directory: names with sizes, directories with -1 and a "/".
func shown(all map[ossclient.Key]int64, dir ossclient.Key) map[string]int64 {
	place := names.In(dir)
	dirs, files := map[string]bool{}, map[string]int64{}
	want := map[string]int64{}
	for k, size := range all {
		if !strings.HasPrefix(string(k), string(dir)) {
			continue
		}
		if k == dir {
			if size > 0 {
				want[names.ContentName] = size
			}
			continue
		}
		component, isDir := names.Child(dir, k)
		if isDir {
			dirs[component] = true
		} else {
			files[component] = size
		}
	}
	for c := range dirs {
		want[place.Name(c)+"/"] = -1
	}
	for c, size := range files {
		if dirs[c] {
			want[place.Beside(c)] = size
		} else {
			want[place.Name(c)] = size
		}
	}
	return want
}

func shadowed(want map[string]int64, dir ossclient.Key, component string) bool {
	_, isDir := want[names.In(dir).Name(component)+"/"]
	return isDir
}

func asShown(list []Entry) (map[string]int64, error) {
	got := map[string]int64{}
	for _, e := range list {
		name, size := e.Name, e.Size
		if e.Dir {
			name, size = name+"/", -1
		}
		if _, twice := got[name]; twice {
			return nil, fmt.Errorf("%q is listed twice", name)
		}
		got[name] = size
	}
	return got, nil
}

// model does random things to a world and compares what is seen with what should be.
type model struct {
	*world
	r     *rand.Rand
	log   []string
	count int
}

func (m *model) key() ossclient.Key {
	parts := []string{"a", "a-", "b", "a.b", "", "a0"}
	var b strings.Builder
	for n := 1 + m.r.IntN(3); n > 0; n-- {
		b.WriteString(parts[m.r.IntN(len(parts))])
		if n > 1 || m.r.IntN(4) == 0 {
			b.WriteByte('/')
		}
	}
	if b.Len() == 0 {
		return "a"
	}
	return ossclient.Key(b.String())
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *model) body(key ossclient.Key) string {
	if isDirKey(key) {
		return ""
	}
	m.count++
	return strings.Repeat("x", m.count)
}

func (m *model) own() {
	key := m.key()
	mode := uint32(attr.TypeFile | 0o600)
	if isDirKey(key) {
		mode = attr.TypeDir | 0o700
	}
	switch m.r.IntN(4) {
	case 0:
		body := m.body(key)
		m.note("create %q %d", key, len(body))
		m.create(key, body, mode)
	case 1:
		m.note("remove %q", key)
		m.removeOwn(key)
	default:
		keys := make([]string, 0)
		m.overlay.mu.Lock()
		for k := range m.overlay.states {
			keys = append(keys, string(k))
		}
		m.overlay.mu.Unlock()
		sort.Strings(keys)
		if len(keys) > 0 {
			key := ossclient.Key(keys[m.r.IntN(len(keys))])
			m.note("send %q", key)
			m.send(key)
		}
	}
}

func (m *model) foreign() {
	key := m.key()
	if m.r.IntN(3) == 0 {
		m.note("foreign delete %q", key)
		m.bucket.remove(key)
		return
	}
	body := m.body(key)
	if isDirKey(key) && m.r.IntN(4) == 0 {
		body = "content"
	}
	m.note("foreign put %q %d", key, len(body))
	m.bucket.put(key, body, 0)
}

func (m *model) dir() ossclient.Key {
	if m.r.IntN(3) == 0 {
		return ""
	}
	dir, _ := names.Split(m.key())
	return dir
}

// check looks at the world once.
func (m *model) check(ctx context.Context) error {
	dir := m.dir()
	want := shown(m.merged(), dir)
	switch m.r.IntN(3) {
	case 0:
		m.note("list %q", dir)
		list, err := m.entries(ctx, dir)
		if err != nil {
			return err
		}
		got, err := asShown(list)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("listing %q (-want +got):\n%s", dir, diff)
		}
	case 1:
		key := m.key()
		dir, component := names.Split(key)
		want := shown(m.merged(), dir)
		name := names.In(dir).Name(component)
		if m.r.IntN(4) == 0 && component != "" {
			name = names.In(dir).Beside(component)
		}
		if st, ok := m.overlay.Lookup(names.Join(dir, component, false)); ok && st.Kind == Content && shadowed(want, dir, component) {
			return nil // a file of ours keeps its name until a listing shows that others made a directory
		}
		m.note("lookup %q in %q", name, dir)
		e, err := m.tree.Lookup(ctx, dir, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		size, file := want[name]
		_, isDir := want[name+"/"]
		switch {
		case (err == nil) != (file || isDir):
			return fmt.Errorf("lookup of %q in %q: got %v, want it there: %v", name, dir, err, file || isDir)
		case err == nil && (e.Dir != isDir || file && e.Size != size):
			return fmt.Errorf("lookup of %q in %q: got dir %v size %d, want dir %v size %d", name, dir, e.Dir, e.Size, isDir, size)
		}
	case 2:
		m.note("empty %q", dir)
		got, err := m.tree.Empty(ctx, dir)
		delete(want, names.ContentName)
		if err != nil || got != (len(want) == 0) {
			return fmt.Errorf("is %q empty: got %v, %v, want %v", dir, got, err, len(want) == 0)
		}
	}
	return nil
}

func (m *model) fail(t *testing.T, seed uint64, err error) {
	t.Helper()
	log := m.log
	if len(log) > 60 {
		log = log[len(log)-60:]
	}
	t.Fatalf("seed %d, after\n%s\n%v", seed, strings.Join(log, "\n"), err)
}

// With no time to believe anything, everything is seen at once; with time, but without others, too; with both, after
// that time.
func TestModel(t *testing.T) {
	for _, tt := range []struct {
		name          string
		ttl           time.Duration
		foreign, wait bool
	}{
		{"others, no TTL", 0, true, false},
		{"alone, TTL", time.Hour, false, false},
		{"others, after the TTL", time.Minute, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(40) {
				synctest.Test(t, func(t *testing.T) {
					m := &model{world: newWorld(t, func(o *Options) { o.TTL = tt.ttl }), r: rand.New(rand.NewPCG(seed, 1))}
					defer m.close(t)
					for range 150 {
						switch n := m.r.IntN(10); {
						case n < 4:
							m.own()
						case n < 6 && tt.foreign:
							m.foreign()
						case n == 6:
							time.Sleep(time.Duration(m.r.IntN(int(100 * time.Millisecond))))
						default:
							if tt.wait {
								time.Sleep(tt.ttl)
							}
							if err := m.check(t.Context()); err != nil {
								m.fail(t, seed, err)
							}
						}
					}
				})
			}
		})
	}
}
