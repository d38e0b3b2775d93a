package cache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

func openIndex(t testing.TB, dir string, limit int64) *Index {
	t.Helper()
	x, err := OpenIndex(dir, limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func closeIndex(t testing.TB, x *Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

func object(i int) ossclient.Object {
	return ossclient.Object{
		Version:      ossclient.Version{Key: ossclient.Key(fmt.Sprintf("dir/file%06d", i)), ETag: ossclient.ETag(fmt.Sprintf("%032X", i)), Size: int64(i)},
		LastModified: time.Unix(1_700_000_000+int64(i), 0),
	}
}

func record(i int) Record {
	var r Record
	r.Attr.SetMode(attr.TypeFile | 0o640)
	r.Attr.SetOwner(uint32(i), 7)
	r.Attr.SetMtime(time.Unix(int64(i), 5))
	r.Attr.ContentType = "text/plain"
	r.CRC64, r.HasCRC64 = uint64(i)<<32, true
	return r
}

func put(x *Index, n int) {
	for i := range n {
		o := object(i)
		x.Put(o.Key, IdentityOf(&o), record(i))
	}
}

// settled waits until all that was queued is written.
func settled(x *Index) {
	for {
		x.mu.Lock()
		n := len(x.queued) + len(x.writing)
		x.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

var sameRecord = cmp.Options{cmp.Comparer(time.Time.Equal), cmpopts.EquateEmpty()}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.MapOf(rapid.String(), rapid.String())
		times := rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(rapid.Int64Range(-1e11, 1e11).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec"))
		})
		s := rapid.String()
		r := Record{Target: s.Draw(t, "target"), Attr: attr.Attr{
			Has: attr.Has(rapid.Byte().Draw(t, "has")), Mode: rapid.Uint32().Draw(t, "mode"), UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
			Rdev: rapid.Uint32().Draw(t, "rdev"), Mtime: times.Draw(t, "mtime"), Atime: times.Draw(t, "atime"), Meta: texts.Draw(t, "meta"),
			Xattr: rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Byte())).Draw(t, "xattr"), ContentType: s.Draw(t, "type"), ContentEncoding: s.Draw(t, "encoding"),
			ContentDisposition: s.Draw(t, "disposition"), ContentLanguage: s.Draw(t, "language"), CacheControl: s.Draw(t, "cache"), Expires: s.Draw(t, "expires"),
			StorageClass: s.Draw(t, "class"),
		}}
		if rapid.Bool().Draw(t, "crc") {
			r.CRC64, r.HasCRC64 = rapid.Uint64().Draw(t, "sum"), true
		}
		id := Identity{ETag: ossclient.ETag(s.Draw(t, "etag")), Size: rapid.Int64Min(0).Draw(t, "size"), LastModified: time.Unix(rapid.Int64Range(0, 1e11).Draw(t, "at"), 0)}
		b := encodeRecord(&id, &r)
		got, gotID, ok, err := decodeRecord(b, &id)
		if err != nil || !ok || gotID != id {
			t.Fatalf("decode: %v, %v, identity %v, want %v", ok, err, gotID, id)
		}
		if diff := cmp.Diff(r, got, sameRecord); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, _, ok, err := decodeRecord(b[:cut], &id); ok || err == nil {
			t.Fatalf("%d of %d bytes were read as a record", cut, len(b))
		}
	})
}

func TestIndexFindsOnlyTheSameVersion(t *testing.T) {
	x := openIndex(t, "", 1<<20)
	defer closeIndex(t, x)
	o := object(3)
	for _, settle := range []bool{false, true} {
		x.Put(o.Key, IdentityOf(&o), record(3))
		if settle {
			settled(x)
		}
		if r, ok := x.Get(o.Key, IdentityOf(&o)); !ok || !cmp.Equal(r, record(3), sameRecord) {
			t.Errorf("settled %v: got %v %v", settle, r, ok)
		}
		etag, size, at := o, o, o
		etag.ETag, size.Size, at.LastModified = "X", 4, at.LastModified.Add(time.Second)
		for _, other := range []ossclient.Object{etag, size, at} {
			if _, ok := x.Get(o.Key, IdentityOf(&other)); ok {
				t.Errorf("settled %v: %v was found under %v", settle, o, other)
			}
		}
	}
	x.Delete(o.Key)
	if _, ok := x.Get(o.Key, IdentityOf(&o)); ok {
		t.Error("found after it was deleted")
	}
	settled(x)
	if _, ok := x.Get(o.Key, IdentityOf(&o)); ok {
		t.Error("found after it was deleted and written")
	}
}

func TestApproximateBecomesExact(t *testing.T) {
	x := openIndex(t, "", 1<<20)
	defer closeIndex(t, x)
	o := object(1)
	id := IdentityOf(&o)
	id.Approximate = true
	x.Put(o.Key, id, record(1))
	settled(x)
	listed, late, other := o, o, o
	listed.LastModified = o.LastModified.Add(2 * time.Second)
	late.LastModified = o.LastModified.Add(3 * time.Second)
	other.LastModified = o.LastModified.Add(time.Second)
	for _, tt := range []struct {
		o    ossclient.Object
		want bool
	}{{late, false}, {listed, true}, {other, false}, {listed, true}} {
		if _, ok := x.Get(o.Key, IdentityOf(&tt.o)); ok != tt.want {
			t.Errorf("listed at %v after %v: found %v, want %v", tt.o.LastModified.Unix(), o.LastModified.Unix(), ok, tt.want)
		}
	}
}

func TestIndexSurvives(t *testing.T) {
	dir := t.TempDir()
	const n = 3000
	x := openIndex(t, dir, 1<<30)
	put(x, n)
	if _, err := OpenIndex(dir, 1<<20, nil); err == nil {
		t.Error("an index in use was opened again")
	}
	closeIndex(t, x)
	x = openIndex(t, dir, 1<<30)
	defer closeIndex(t, x)
	checkPage(t, x, n, n)
}

// checkPage reads everything in pages, with unknown objects between, and compares with Get.
func checkPage(t *testing.T, x *Index, n, want int) {
	t.Helper()
	var objects []ossclient.Object
	for i := range n {
		o := object(i)
		objects = append(objects, o)
		if i%7 == 0 {
			o.Key += "x"
			objects = append(objects, o)
		}
	}
	found := 0
	x.GetPage(objects, func(i int, r Record) {
		found++
		one, ok := x.Get(objects[i].Key, IdentityOf(&objects[i]))
		if !ok || !cmp.Equal(one, r, sameRecord) || r.Attr.UID != uint32(objects[i].Size) {
			t.Fatalf("%v: page %v, alone %v %v", objects[i], r, one, ok)
		}
	})
	if found != want {
		t.Errorf("found %d of %d, want %d", found, n, want)
	}
}

// What is used stays, what is not goes, and the disk does not fill.
func TestIndexIsBounded(t *testing.T) {
	dir := t.TempDir()
	const limit = 1 << 19
	x := openIndex(t, dir, limit)
	hot := object(1)
	x.Put(hot.Key, IdentityOf(&hot), record(1))
	turns := uint32(0)
	for i := 10; turns < 4; i++ {
		o := object(i)
		x.Put(o.Key, IdentityOf(&o), record(i))
		if i%500 == 0 {
			settled(x)
			if _, ok := x.Get(hot.Key, IdentityOf(&hot)); !ok {
				t.Fatalf("what is used was forgotten after %d others", i)
			}
		}
		x.dbMu.RLock()
		turns = x.generation - firstGeneration
		x.dbMu.RUnlock()
	}
	settled(x)
	if o := object(10); true {
		if _, ok := x.Get(o.Key, IdentityOf(&o)); ok {
			t.Error("nothing was forgotten")
		}
	}
	closeIndex(t, x)
	x = openIndex(t, dir, limit)
	if x.generation < firstGeneration+4 {
		t.Errorf("generation %d after reopening", x.generation)
	}
	if _, ok := x.Get(hot.Key, IdentityOf(&hot)); !ok {
		t.Error("what is used was forgotten by reopening")
	}
	if err := x.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	closeIndex(t, x)
	if size := diskUsage(t, dir); size > 4*limit {
		t.Errorf("%d bytes on disk, limit %d", size, limit)
	}
}

func diskUsage(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// Whatever is damaged: the index opens, and what it finds is right.
func TestDamagedIndexIsBegunAnew(t *testing.T) {
	for seed := range uint64(6) {
		dir := t.TempDir()
		x := openIndex(t, dir, 1<<30)
		put(x, 500)
		closeIndex(t, x)
		r := rand.New(rand.NewPCG(seed, 0))
		files, err := filepath.Glob(filepath.Join(dir, "pebble", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		name := files[r.IntN(len(files))]
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case seed%3 == 0:
			err = os.Remove(name)
		case len(b) > 0 && seed%3 == 1:
			b[r.IntN(len(b))] ^= 0xff
			err = os.WriteFile(name, b, 0o600)
		default:
			err = os.WriteFile(name, b[:len(b)/2], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d: damaged %s", seed, filepath.Base(name))
		x = openIndex(t, dir, 1<<30)
		objects := make([]ossclient.Object, 500)
		for i := range objects {
			objects[i] = object(i)
		}
		x.GetPage(objects, func(i int, r Record) {
			if !cmp.Equal(r, record(i), sameRecord) {
				t.Errorf("seed %d: wrong record of %v: %v", seed, objects[i], r)
			}
		})
		usable(t, x)
		closeIndex(t, x)
	}
}

// usable waits until the index keeps what is put into it.
func usable(t *testing.T, x *Index) {
	t.Helper()
	for i := 1000; i < 3000; i++ {
		o := object(i)
		x.Put(o.Key, IdentityOf(&o), record(i))
		settled(x)
		if _, ok := x.Get(o.Key, IdentityOf(&o)); ok {
			return
		}
	}
	t.Error("nothing put into the index is found again")
}

func TestIndexDeletedWhileInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openIndex(t, dir, 1<<20)
	defer func() { _ = x.Close() }() // may complain of what was deleted
	put(x, 5_000)
	settled(x)
	for os.RemoveAll(dir) != nil { // files may be made meanwhile
	}
	for round := range 8 {
		for i := range 2000 {
			o := object(i + 2000*round)
			x.Put(o.Key, IdentityOf(&o), record(i))
		}
		settled(x)
	}
	usable(t, x)
}

// A store whose files are gone, and which had nothing to do since, is closed all the same, and begun anew.
func TestIndexDeletedThenClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openIndex(t, dir, 1<<20)
	put(x, 100)
	settled(x)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	x = openIndex(t, dir, 1<<20)
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	usable(t, x)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func BenchmarkIndexPage(b *testing.B) {
	x := openIndex(b, b.TempDir(), 1<<30)
	defer closeIndex(b, x)
	put(x, 30_000)
	settled(x)
	if err := x.db.Flush(); err != nil {
		b.Fatal(err)
	}
	objects := make([]ossclient.Object, 1000)
	at := 0
	for b.Loop() {
		for i := range objects {
			objects[i] = object(at + i)
		}
		n := 0
		x.GetPage(objects, func(int, Record) { n++ })
		if n != 1000 {
			b.Fatalf("found %d", n)
		}
		at = (at + 1000) % 29_000
	}
}
