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

// sight is what is looked at of an entry.
type sight struct {
	size int64  // -1: a directory
	mode uint32 // permissions
}

// shown is what should be seen of a directory: by name, those of directories with a "/".
func shown(all map[ossclient.Key]sight, dir ossclient.Key) map[string]sight {
	place := names.In(dir)
	dirs, files := map[string]uint32{}, map[string]sight{}
	want := map[string]sight{}
	for k, s := range all {
		if !strings.HasPrefix(string(k), string(dir)) {
			continue
		}
		if k == dir {
			if s.size > 0 {
				want[names.ContentName] = sight{s.size, defaultFileMode}
			}
			continue
		}
		component, isDir := names.Child(dir, k)
		switch {
		case !isDir:
			files[component] = s
		case k == names.Join(dir, component, true):
			dirs[component] = s.mode
		case dirs[component] == 0:
			dirs[component] = defaultDirMode
		}
	}
	for c, mode := range dirs {
		want[place.Name(c)+"/"] = sight{-1, mode}
	}
	for c, s := range files {
		if dirs[c] != 0 {
			want[place.Beside(c)] = s
		} else {
			want[place.Name(c)] = s
		}
	}
	return want
}

func shadowed(want map[string]sight, dir ossclient.Key, component string) bool {
	_, isDir := want[names.In(dir).Name(component)+"/"]
	return isDir
}

// seenAs is what is seen of an entry, and under which name.
func seenAs(e *Entry) (name string, s sight) {
	s = sight{e.Size, e.Attr.Mode & attr.PermMask}
	if e.Dir {
		s.size = -1
		return e.Name + "/", s
	}
	return e.Name, s
}

func asShown(list []Entry) (map[string]sight, error) {
	got := map[string]sight{}
	for i := range list {
		name, s := seenAs(&list[i])
		if _, twice := got[name]; twice {
			return nil, fmt.Errorf("%q is listed twice", name)
		}
		got[name] = s
	}
	return got, nil
}

// model does random things to a world and compares what is seen with what should be.
type model struct {
	*world
	r       *rand.Rand
	log     []string
	count   int
	refresh bool // each directory before it is looked at
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
	switch m.r.IntN(5) {
	case 0:
		body := m.body(key)
		m.note("create %q %d", key, len(body))
		m.create(key, body, mode)
	case 2:
		if m.chmod(key, mode) {
			m.note("chmod %q", key)
		}
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

// look is called before a directory is looked at.
func (m *model) look(dir ossclient.Key) {
	if m.refresh {
		m.note("refresh %q", dir)
		m.tree.Refresh(dir)
	}
}

// check looks at the world once.
func (m *model) check(ctx context.Context) error {
	dir := m.dir()
	want := shown(m.merged(), dir)
	switch m.r.IntN(3) {
	case 0:
		m.look(dir)
		m.note("list %q", dir)
		list, err := m.entries(ctx, dir)
		if err != nil {
			return err
		}
		got, err := asShown(list)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sight{})); diff != "" {
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
		m.look(dir)
		m.note("lookup %q in %q", name, dir)
		e, err := m.tree.Lookup(ctx, dir, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, file := want[name]
		_, isDir := want[name+"/"]
		if (err == nil) != (file || isDir) {
			return fmt.Errorf("lookup of %q in %q: got %v, want it there: %v", name, dir, err, file || isDir)
		}
		if err == nil {
			if name, got := seenAs(&e); e.Dir != isDir || got != want[name] {
				return fmt.Errorf("lookup of %q in %q: got dir %v %+v, want dir %v %+v", name, dir, e.Dir, got, isDir, want[name])
			}
		}
	case 2:
		m.look(dir)
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
		refresh       bool // of what is looked at
		pageKeys      int  // of the bucket's
	}{
		{name: "others, no TTL", foreign: true},
		{name: "others, no TTL, many pages", foreign: true, pageKeys: 2},
		{name: "alone, TTL", ttl: time.Hour},
		{name: "alone, TTL, many pages", ttl: time.Hour, pageKeys: 2},
		{name: "others, after the TTL", ttl: time.Minute, foreign: true, wait: true},
		{name: "others, after the TTL, many pages", ttl: time.Minute, foreign: true, wait: true, pageKeys: 3},
		{name: "others, after a refresh", ttl: time.Hour, foreign: true, refresh: true},
		{name: "others, after a refresh, many pages", ttl: time.Hour, foreign: true, refresh: true, pageKeys: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					m := &model{world: newWorld(t, func(o *Options) { o.TTL = tt.ttl }), r: rand.New(rand.NewPCG(seed, 1))}
					defer m.close(t)
					m.bucket.pageKeys, m.refresh = tt.pageKeys, tt.refresh
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
