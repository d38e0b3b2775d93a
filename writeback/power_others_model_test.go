package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// othersModel does random operations on a Store whose bucket another client changes, too. Each change puts a line of its own somewhere. A line
// is lost when it is nowhere in the end, and nobody who knew what he did has taken it away.
type othersModel struct {
	t    *testing.T
	r    *rig
	mem  *disktest.Mem
	b    *shared
	s    *Store
	opt  Options
	rng  *rand.Rand
	done int // steps

	moved bool // something was moved since all was made durable
	twice bool // a loss of power may have taken a move of what the bucket had got already
	seed  uint64

	ctx   context.Context // ends when the disk stops
	stop  context.CancelFunc
	files []*File
	holds []func()

	mu     sync.Mutex // guards the fields below
	lines  []*lineModel
	inside map[ossclient.ETag][]int // the lines of the objects that were seen
	seen   map[Key]Seen             // what the caller knows of the bucket
}

// lineModel is a line that somebody has put into an object.
type lineModel struct {
	text    string
	theirs  bool
	closed  bool   // what has it was closed, or is the other client's
	durable bool   // a loss of power does not take it
	gone    string // why it need not be anywhere; "": it must be
}

// mark is what a line begins with, and ends with.
func mark(n int) string { return fmt.Sprintf("<%08d>", n) }

const markLen = 10

// line makes a line, of some bytes.
func (m *othersModel) line(theirs bool) (n int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = len(m.lines)
	size := []int{0, m.rng.IntN(50), m.rng.IntN(40 << 10), m.rng.IntN(500 << 10)}[m.rng.IntN(4)]
	text = mark(n) + strings.Repeat(string(rune('a'+n%26)), size) + mark(n)
	m.lines = append(m.lines, &lineModel{text: text, theirs: theirs, closed: theirs, durable: theirs})
	return n, text
}

// linesOf are the lines that a content has, and whether it has nothing else.
func (m *othersModel) linesOf(content string) (list []int, whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	whole = true
	for content != "" {
		at := strings.IndexByte(content, '<')
		if whole = whole && at == 0; at < 0 {
			return list, false
		}
		content = content[at:]
		n, err := strconv.Atoi(content[1:min(markLen-1, len(content))])
		if err != nil || n >= len(m.lines) {
			content, whole = content[1:], false
			continue
		}
		text := m.lines[n].text
		if strings.HasPrefix(content, text) {
			list = append(list, n)
			content = content[len(text):]
			continue
		}
		has := 0
		for has < min(len(content), len(text)) && content[has] == text[has] {
			has++
		}
		if next := strings.LastIndexByte(content[:has], '<'); next > 0 {
			has = next // the next line begins there
		}
		whole = whole && m.lines[n].gone != "" // the process died when it was being written
		content = content[has:]
	}
	return list, whole
}

// goes notes that lines need not be anywhere any more.
func (m *othersModel) goes(list []int, why string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range list {
		if l := m.lines[n]; l.gone == "" {
			l.gone = fmt.Sprintf(why, args...)
			m.b.say("line %d may go: %s", n, l.gone)
		}
	}
}

// closes notes that a line was closed.
func (m *othersModel) closes(list []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range list {
		m.lines[n].closed = true
	}
}

// durable notes that lines that are closed are so durably; nil: all that are.
func (m *othersModel) durable(list []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, l := range m.lines {
		l.durable = l.durable || l.closed && (list == nil || slices.Contains(list, n))
	}
	m.moved = m.moved && list != nil
}

// dies notes what a kill, or a loss of power, may take.
func (m *othersModel) dies(power bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lines {
		if !l.closed && l.gone == "" {
			l.gone = "it was not closed when the process died"
		}
		if power && !l.durable && l.gone == "" {
			l.gone = "it was not durable when the power failed"
		}
	}
	m.twice = m.twice || power && m.moved
	m.b.died(power)
	m.files, m.holds = nil, nil
	m.seen = make(map[Key]Seen)
}

// note looks at what the bucket has at a key. The other client does not change it meanwhile; the Store may.
func (m *othersModel) note(key Key) (v ossclient.Version, list []int) {
	o, there := m.r.server.Object(ossservertest.Bucket, string(key))
	if !there {
		return v, nil
	}
	v.Key = key
	body, err := o.Body()
	if err != nil && strings.Contains(err.Error(), "is not what it was") {
		return m.note(key) // a request of the Store has replaced it
	}
	if err != nil {
		m.t.Error(err)
	}
	list, whole := m.linesOf(string(body))
	if !whole && !strings.Contains(string(key), ".conflict-") {
		m.fail("%s has bytes of no line, beside %d: %.30q...", key, list, body)
	}
	v.ETag, v.Size = ossclient.ETag(o.ETag), o.Size
	m.b.say("%s has %d (%s)", key, list, v.ETag)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inside[v.ETag] = list
	return v, list
}

// look is that the caller looks at a key in the bucket.
func (m *othersModel) look(key Key) Seen {
	at := m.s.Now()
	m.b.turn.RLock()
	defer m.b.turn.RUnlock()
	v, _ := m.note(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[key] = Seen{v, at}
	return m.seen[key]
}

// version is what the caller knows that the bucket has at a key; it may be old.
func (m *othersModel) version(key Key) Seen {
	at := m.s.Now()
	if st, ok := m.s.Lookup(key); ok {
		return Seen{st.Base, at}
	}
	m.mu.Lock()
	v, ok := m.seen[key]
	m.mu.Unlock()
	if ok && m.rng.IntN(2) == 0 {
		return v
	}
	return m.look(key)
}

// confirmed is Options.Confirmed.
func (m *othersModel) confirmed(c Confirmation) {
	m.b.turn.RLock()
	m.note(c.Key)
	m.b.turn.RUnlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Deleted {
		c.Object.Version = ossclient.Version{}
	}
	m.seen[c.Key] = Seen{Version: c.Object.Version} // it is told before the map knows
}

// there says whether a key has something, as far as the caller knows.
func (m *othersModel) there(key Key) (v Seen, there bool) {
	at := m.s.Now()
	if st, ok := m.s.Lookup(key); ok {
		return Seen{st.Base, at}, st.Kind != Absent
	}
	v = m.version(key)
	return v, v.ETag != ""
}

// doom notes that what a key has is taken away by one who knows v.
func (m *othersModel) doom(what string, key Key, v Seen) {
	m.mu.Lock()
	list := slices.Clone(m.inside[v.ETag])
	m.mu.Unlock()
	content, err := m.pending(key)
	if tolerable(err) { // what it was made of is not there any more
		content, err = m.staged(key)
	}
	if err != nil && !m.mem.Stopped() {
		m.fatal("%s: %v", key, err)
	}
	more, _ := m.linesOf(content)
	stored, _ := m.r.body(string(key)) // it may have been confirmed since the caller looked
	has, _ := m.linesOf(stored)
	m.mu.Lock()
	has = slices.DeleteFunc(has, func(n int) bool { return m.lines[n].theirs })
	m.mu.Unlock()
	m.goes(slices.Concat(list, more, has), "%s %s", what, key)
}

// pending is the content of a key that the bucket does not have.
func (m *othersModel) pending(key Key) (string, error) {
	f, ok := m.s.OpenContent(key)
	if !ok {
		return "", nil
	}
	defer f.Release()
	got := make([]byte, f.Size())
	n, err := f.ReadAt(m.ctx, got, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(got[:n]), err
}

// staged is what is staged of a key.
func (m *othersModel) staged(key Key) (string, error) {
	f, ok := m.s.OpenContent(key)
	if !ok {
		return "", nil
	}
	defer f.Release()
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.openLocked(); err != nil {
		return "", err
	}
	got := make([]byte, f.size)
	_, err := readZero(f.f, got, 0)
	return string(got), err
}

// tolerable says whether an error is what those get who do not know what the bucket has.
func tolerable(err error) bool {
	return errors.Is(err, ossclient.ErrPrecondition) || errors.Is(err, ossclient.ErrNotExist) || errors.Is(err, ossclient.ErrExist) || errors.Is(err, syscall.ESTALE)
}

func (m *othersModel) fail(format string, args ...any) {
	m.b.mu.Lock()
	said := m.b.said.String()
	m.b.mu.Unlock()
	if m.t.Failed() {
		said = ""
	}
	m.t.Errorf("seed %d: %s\n%s", m.seed, fmt.Sprintf(format, args...), said)
}

func (m *othersModel) fatal(format string, args ...any) {
	m.fail(format, args...)
	m.t.FailNow()
}
