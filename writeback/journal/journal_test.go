package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/writeback/disk"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
	"github.com/ossfs/ossfs/writeback/journal"
)

type records struct {
	all     []string
	durable int
}

func (r *records) Record(_ uint64, payload []byte, durable bool) error {
	r.all = append(r.all, string(payload))
	if durable {
		r.durable++
	}
	return nil
}

func open(t *testing.T, fs disk.FS) (*journal.Log, *records, journal.Report) {
	t.Helper()
	r := &records{}
	l, report, err := journal.Open(fs, "j", r)
	if err != nil {
		t.Fatal(err)
	}
	return l, r, report
}

func add(t *testing.T, l *journal.Log, list ...string) {
	t.Helper()
	for _, s := range list {
		if _, err := l.Append([]byte(s), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func nothing() error { return nil }

func (r *records) want(t *testing.T, durable int, all ...string) {
	t.Helper()
	if !slices.Equal(r.all, all) || r.durable != durable {
		t.Errorf("read %q, %d durable; want %q, %d", r.all, r.durable, all, durable)
	}
}

// segment is the newest segment's name.
func segment(t *testing.T, fs disk.FS) string {
	t.Helper()
	names, err := fs.List("j")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "log.") })
	return "j/" + names[len(names)-1]
}

// change edits the bytes of a file.
func change(t *testing.T, fs disk.FS, name string, edit func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	b := make([]byte, size)
	if err == nil {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	b = edit(b)
	if err := f.Truncate(int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// Records come back in order, over several segments; those before a marker count as durable.
func TestReplay(t *testing.T) {
	fs := disktest.New()
	l, _, _ := open(t, fs)
	add(t, l, "a", "b")
	if n, err := l.Sync(nothing); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	add(t, l, "c")
	fs = fs.Killed()
	l, r, report := open(t, fs)
	r.want(t, 2, "a", "b", "c")
	if report.Rebooted || report.Damaged+report.Torn > 0 || report.Gaps > 0 {
		t.Errorf("%+v", report)
	}
	add(t, l, "d")
	_, r, _ = open(t, fs.Killed())
	r.want(t, 2, "a", "b", "c", "d")
}

// What a crash left of the last record is passed over; what is written after it is found.
func TestTornTail(t *testing.T) {
	for cut := 1; cut < 26; cut += 6 {
		fs := disktest.New()
		l, _, _ := open(t, fs)
		add(t, l, "first", "last!")
		fs = fs.Killed()
		change(t, fs, segment(t, fs), func(b []byte) []byte { return b[:len(b)-cut] })
		l, r, report := open(t, fs)
		r.want(t, 0, "first")
		if report.Torn == 0 || report.Damaged != 0 {
			t.Errorf("cut %d: %+v", cut, report)
		}
		add(t, l, "next")
		_, r, report = open(t, fs.Killed())
		r.want(t, 0, "first", "next")
		if report.Gaps != 0 {
			t.Errorf("cut %d, read again: %+v", cut, report)
		}
	}
}

// Damage in the middle costs one record, and is told, as is the gap it leaves.
func TestDamage(t *testing.T) {
	fs := disktest.New()
	l, _, _ := open(t, fs)
	add(t, l, "first", "second", "third")
	fs = fs.Killed()
	change(t, fs, segment(t, fs), func(b []byte) []byte {
		b[strings.Index(string(b), "second")] ^= 1
		return b
	})
	_, r, report := open(t, fs)
	r.want(t, 0, "first", "third")
	if report.Damaged == 0 || report.Gaps != 1 {
		t.Errorf("%+v", report)
	}
}

// A segment that is missing is a gap.
func TestGap(t *testing.T) {
	fs := disktest.New()
	var middle string
	for i, s := range []string{"a", "b", "c"} {
		l, _, _ := open(t, fs)
		add(t, l, s)
		if i == 1 {
			middle = segment(t, fs)
		}
		fs = fs.Killed()
	}
	if err := fs.Remove(middle); err != nil {
		t.Fatal(err)
	}
	_, r, report := open(t, fs)
	r.want(t, 0, "a", "c")
	if report.Gaps == 0 {
		t.Errorf("%+v", report)
	}
}

// compact makes a snapshot of some records.
func compact(l *journal.Log, list ...string) error {
	return l.Compact(func(rotate func() error) (func(func([]byte) error) error, error) {
		return func(emit func([]byte) error) error {
			for _, s := range list {
				if err := emit([]byte(s)); err != nil {
					return err
				}
			}
			return nil
		}, rotate()
	})
}

// A snapshot takes the place of what came before, wherever the power goes while it is made.
func TestCompact(t *testing.T) {
	for k := range 16 {
		fs := disktest.New()
		l, _, _ := open(t, fs)
		add(t, l, "a", "b")
		if _, err := l.Sync(nothing); err != nil {
			t.Fatal(err)
		}
		fs.StopAt(k, nil)
		err := compact(l, "ab")
		_, r, report := open(t, fs.PowerCut(rand.New(rand.NewPCG(uint64(k), 1))))
		switch {
		case err == nil:
			r.want(t, 1, "ab")
		case len(r.all) == 1:
			r.want(t, 1, "ab")
		default:
			r.want(t, 2, "a", "b")
		}
		if report.Damaged > 0 || report.Gaps > 0 {
			t.Errorf("stopped at %d: %+v", k, report)
		}
	}
}

// faulty is a disk that loses what a failing sync should have written, and says so once.
type faulty struct {
	*disktest.Mem
	fail bool
}

type faultyFile struct {
	disk.File
	fs   *faulty
	lost bool // what was written is clean now, for the operating system
}

var errSync = errors.New("input/output error")

func (f *faulty) Create(name string) (disk.File, error) {
	file, err := f.Mem.Create(name)
	return &faultyFile{File: file, fs: f}, err
}

func (f *faultyFile) Sync() error {
	if f.fs.fail {
		f.fs.fail, f.lost = false, true
		return errSync
	}
	if f.lost {
		return nil // says so, and does nothing
	}
	return f.File.Sync()
}

// Records made durable ahead of what they speak of are there after a power cut, and not believed.
func TestAhead(t *testing.T) {
	mem := disktest.New()
	l, _, _ := open(t, mem)
	add(t, l, "a")
	if _, err := l.Sync(nothing); err != nil {
		t.Fatal(err)
	}
	add(t, l, "b")
	if err := l.Ahead(); err != nil || l.Synced() != 1 {
		t.Fatalf("%v; synced %d", err, l.Synced())
	}
	for seed := range uint64(20) {
		_, r, _ := open(t, mem.PowerCut(rand.New(rand.NewPCG(seed, 3))))
		r.want(t, 1, "a", "b")
	}
}

// syncedDisk tells when a file is about to be synced.
type syncedDisk struct {
	*disktest.Mem
	about func()
}

func (d *syncedDisk) Create(name string) (disk.File, error) {
	f, err := d.Mem.Create(name)
	return &syncedFile{f, d}, err
}

type syncedFile struct {
	disk.File
	d *syncedDisk
}

func (f *syncedFile) Sync() error {
	f.d.about()
	return f.File.Sync()
}

// The power fails between a marker and its sync: the marker may have come to the disk before the records that it speaks for. What
// is said to be durable then has no gap, and a later marker is believed.
func TestMarkerBeforeItsRecords(t *testing.T) {
	long := strings.Repeat("x", 5000)
	missing := 0
	for seed := range uint64(300) {
		d := &syncedDisk{Mem: disktest.New(), about: func() {}}
		l, _, _ := open(t, d)
		add(t, l, "a")
		sync(t, l)
		if err := d.SyncDir("j"); err != nil {
			t.Fatal(err)
		}
		var cut *disktest.Mem
		d.about = func() { cut = d.PowerCut(rand.New(rand.NewPCG(seed, 7))) }
		all := []string{"a", "b" + long, "c" + long, "d"}
		if seed%2 == 1 {
			all = all[:3]
		}
		add(t, l, all[1:]...)
		sync(t, l)
		_, r, _ := open(t, cut)
		if !slices.Equal(r.all[:r.durable], all[:r.durable]) {
			t.Errorf("seed %d: of %d records %d are said to be durable, with a gap before the last", seed, len(r.all), r.durable)
		}
		if len(r.all) < len(all) {
			missing++
		}
	}
	if missing == 0 {
		t.Error("no record was missing, and this test tests nothing")
	}
	mem := disktest.New()
	l, _, _ := open(t, mem)
	add(t, l, "a")
	sync(t, l)
	add(t, l, "b", "c")
	sync(t, l)
	add(t, l, "d")
	sync(t, l)
	change(t, mem, segment(t, mem), func(b []byte) []byte {
		b[strings.LastIndex(string(b), "b")]++
		return b
	})
	_, r, _ := open(t, mem)
	r.want(t, 3, "a", "c", "d")
}

func sync(t *testing.T, l *journal.Log) {
	t.Helper()
	if _, err := l.Sync(nothing); err != nil {
		t.Fatal(err)
	}
}

// slowFile is a file whose sync takes as long as it is told, and is counted.
type slowFile struct {
	disk.File
	syncs *atomic.Int32
	hold  chan struct{}
}

func (f *slowFile) Sync() error {
	f.syncs.Add(1)
	<-f.hold
	return f.File.Sync()
}

type slowDisk struct {
	*disktest.Mem
	syncs atomic.Int32
	hold  chan struct{}
}

func (d *slowDisk) Create(name string) (disk.File, error) {
	f, err := d.Mem.Create(name)
	return &slowFile{f, &d.syncs, d.hold}, err
}

// Those who want their records durable at the same time share a sync, which begins after the last of these.
func TestAheadIsShared(t *testing.T) {
	d := &slowDisk{Mem: disktest.New(), hold: make(chan struct{})}
	l, _, _ := open(t, d)
	var g errgroup.Group
	add(t, l, "first")
	g.Go(l.Ahead)
	for d.syncs.Load() == 0 {
		runtime.Gosched()
	}
	for range 10 {
		add(t, l, "another")
		g.Go(l.Ahead)
	}
	close(d.hold)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := d.syncs.Load(); n != 2 {
		t.Errorf("%d syncs, want one that was begun before the others came, and one for them", n)
	}
	if err := l.Ahead(); err != nil || d.syncs.Load() != 2 {
		t.Errorf("nothing is new: %v, %d syncs", err, d.syncs.Load())
	}
	for seed := range uint64(20) {
		if _, r, _ := open(t, d.PowerCut(rand.New(rand.NewPCG(seed, 3)))); len(r.all) != 11 {
			t.Errorf("seed %d: %d records", seed, len(r.all))
		}
	}
}

// What is made durable after a compaction that failed, or by a process that follows one which was killed, is there with all
// that came before it.
func TestDurableAcrossSegments(t *testing.T) {
	for name, next := range map[string]func(*testing.T, *disktest.Mem, *journal.Log) *journal.Log{
		"compaction failed": func(t *testing.T, _ *disktest.Mem, l *journal.Log) *journal.Log {
			err := l.Compact(func(rotate func() error) (func(func([]byte) error) error, error) {
				return func(func([]byte) error) error { return syscall.ENOSPC }, rotate()
			})
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return l
		},
		"killed": func(t *testing.T, mem *disktest.Mem, _ *journal.Log) *journal.Log {
			l, _, _ := open(t, mem)
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(40) {
				mem := disktest.New()
				l, _, _ := open(t, mem)
				add(t, l, "a", "b")
				if _, err := l.Sync(nothing); err != nil {
					t.Fatal(err)
				}
				add(t, l, "c")
				l = next(t, mem, l)
				add(t, l, "d")
				if err := l.Ahead(); err != nil {
					t.Fatal(err)
				}
				_, r, report := open(t, mem.PowerCut(rand.New(rand.NewPCG(seed, 5))))
				r.want(t, 2, "a", "b", "c", "d")
				if report.Gaps+int(report.Damaged) > 0 {
					t.Errorf("seed %d: %+v", seed, report)
				}
			}
		})
	}
}

// A loss of power leaves any pages of what was not synced: the records behind the first that is not there count for nothing,
// and that is no damage.
func TestTornPages(t *testing.T) {
	long := strings.Repeat("x", 3000)
	holes := 0
	for seed := range uint64(100) {
		mem := disktest.New()
		l, _, _ := open(t, mem)
		add(t, l, "first")
		if _, err := l.Sync(nothing); err != nil {
			t.Fatal(err)
		}
		all := []string{"first"}
		for i := range 10 {
			all = append(all, fmt.Sprint(i, long))
			add(t, l, all[i+1])
		}
		left := mem.PowerCut(rand.New(rand.NewPCG(seed, 6)))
		b := content(t, left, segment(t, left))
		l, r, report := open(t, left)
		r.want(t, 1, all[:len(r.all)]...)
		if report.Gaps > 0 || report.Damaged > 0 {
			t.Errorf("seed %d: %+v", seed, report)
		}
		if len(r.all) < len(all) && strings.Contains(b, all[len(all)-1]) {
			holes++
			if report.Torn < int64(len(long)) {
				t.Errorf("seed %d: %+v", seed, report)
			}
		}
		add(t, l, "next")
		if _, err := l.Sync(nothing); err != nil {
			t.Fatal(err)
		}
	}
	if holes == 0 {
		t.Error("no run had a whole record behind a torn one, and this test tests nothing")
	}
}

// content is what a file has.
func content(t *testing.T, fs disk.FS, name string) (s string) {
	t.Helper()
	change(t, fs, name, func(b []byte) []byte {
		s = string(b)
		return b
	})
	return s
}

// A sync ahead that fails is as bad as any.
func TestAheadFails(t *testing.T) {
	fs := &faulty{Mem: disktest.New()}
	l, _, _ := open(t, fs)
	add(t, l, "a")
	fs.fail = true
	if err := l.Ahead(); !errors.Is(err, errSync) || !l.Doubtful() {
		t.Fatalf("got %v", err)
	}
	if err := l.Ahead(); !errors.Is(err, journal.ErrDoubtful) {
		t.Errorf("again: got %v", err)
	}
	if _, err := l.Sync(nothing); !errors.Is(err, journal.ErrDoubtful) {
		t.Errorf("a sync after it: got %v", err)
	}
}

// After a sync has failed no later one of the same segment is believed: the log is written anew.
func TestSyncFails(t *testing.T) {
	fs := &faulty{Mem: disktest.New()}
	l, _, _ := open(t, fs)
	add(t, l, "a")
	fs.fail = true
	if _, err := l.Sync(nothing); !errors.Is(err, errSync) {
		t.Fatalf("sync: %v", err)
	}
	add(t, l, "b")
	if _, err := l.Sync(nothing); !errors.Is(err, journal.ErrDoubtful) || !l.Doubtful() || l.Synced() != 0 {
		t.Fatalf("second sync: %v; synced %d", err, l.Synced())
	}
	fs.fail = true // the snapshot's
	if err := compact(l, "ab"); !errors.Is(err, errSync) || !l.Doubtful() {
		t.Fatalf("compact: %v", err)
	}
	if err := compact(l, "ab"); err != nil || l.Doubtful() {
		t.Fatalf("compact: %v", err)
	}
	add(t, l, "c")
	if n, err := l.Sync(nothing); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			_, r, _ := open(t, fs.PowerCut(rand.New(rand.NewPCG(seed, 2))))
			r.want(t, 2, "ab", "c")
		})
	}
}

// On a full disk records that make it fuller are refused first, and those that make room last; when there is room all
// is as before.
func TestFullDisk(t *testing.T) {
	fs := disktest.New()
	fs.Fill(journal.Reserve * 4)
	l, _, _ := open(t, fs)
	add(t, l, "first")
	fs.Fill(0)
	record := make([]byte, 64<<10)
	var got [3]int
	for i, keep := range []int64{journal.Reserve, journal.Spare, 0} {
		for {
			if _, err := l.Append(record, keep); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			got[i]++
		}
	}
	const least = journal.Spare/(64<<10) - 1
	if got[0] == 0 || got[1] < least || got[2] < least {
		t.Errorf("records of each kind: got %v, want at least %d of the last two", got, least)
	}
	fs.Fill(journal.Reserve * 3)
	if _, err := l.Append([]byte("next"), journal.Reserve); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := compact(l, "all"); err != nil {
		t.Errorf("compact: %v", err)
	}
	_, r, report := open(t, fs.Killed())
	r.want(t, 1, "all")
	if report.Damaged+report.Torn > 0 {
		t.Errorf("%+v", report)
	}
}
