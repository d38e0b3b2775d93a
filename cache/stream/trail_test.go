package stream

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// directory stores n files of size bytes and gives their versions in order.
func (b *bucket) directory(n int, size int64) []ossclient.Version {
	list := make([]ossclient.Version, n)
	for i := range list {
		list[i] = b.put(ossKey(fmt.Sprintf("d/%05d", i)), size, 1)
	}
	return list
}

// hintOf is the hint for the i-th file of a directory.
func hintOf(list []ossclient.Version, i int) Hint {
	return Hint{Dir: "d/", PageCache: true, Next: func(n int) []ossclient.Version { return list[i+1 : min(i+1+n, len(list))] }}
}

// readWhole opens, reads and closes the i-th file.
func (b *bucket) readWhole(t *testing.T, p *Pool, list []ossclient.Version, i int) {
	f := p.Open(list[i], hintOf(list, i))
	b.check(t, f, 0, 128<<10)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFilesAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		list := b.directory(4000, 16<<10)
		p := b.pool(t, setup{ranges: 32 << 20})
		start := time.Now()
		for i := range list {
			b.readWhole(t, p, list, i)
		}
		took := time.Since(start)
		gets, sent := b.counts()
		t.Logf("%v, %d GETs, %d bytes, %d at once", took, gets, sent, b.busiest)
		if gets != len(list) || sent != 4000*16<<10 {
			t.Errorf("%d GETs of %d bytes for %d files", gets, sent, len(list))
		}
		if took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Programs that take the files of one directory by turns, or each a stretch of it.
func TestFilesAheadOfSeveral(t *testing.T) {
	for _, stretch := range []int{1, 250} {
		synctest.Test(t, func(t *testing.T) {
			b := newBucket()
			list := b.directory(4000, 16<<10)
			p := b.pool(t, setup{ranges: 128 << 20})
			start := time.Now()
			var wg sync.WaitGroup
			var mu sync.Mutex
			at := 0
			for range 16 {
				wg.Go(func() {
					for {
						mu.Lock()
						from := at
						at += stretch
						mu.Unlock()
						if from >= len(list) {
							return
						}
						for i := from; i < from+stretch; i++ {
							b.readWhole(t, p, list, i)
						}
					}
				})
			}
			wg.Wait()
			took := time.Since(start)
			gets, sent := b.counts()
			t.Logf("%v, %d GETs, %d bytes, %d at once", took, gets, sent, b.busiest)
			if sent > 4000*16<<10*11/10 || took > 2*time.Second {
				t.Errorf("stretches of %d: %v, %d bytes fetched for %d", stretch, took, sent, 4000*16<<10)
			}
		})
	}
}

// What a program does not read is not fetched, within a tenth of what it reads.
func TestFilesAheadWaste(t *testing.T) {
	const size = 16 << 10
	for name, pick := range map[string]func(i int) bool{
		"first two":   func(i int) bool { return i < 2 },
		"every third": func(i int) bool { return i%3 == 0 },
		"half":        func(i int) bool { return i%2 == 0 },
		"most":        func(i int) bool { return i%16 != 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket()
				list := b.directory(4000, size)
				p := b.pool(t, setup{ranges: 8 << 20})
				read := int64(0)
				for i := range list {
					if pick(i) {
						b.readWhole(t, p, list, i)
						read += size
					}
				}
				time.Sleep(time.Minute)
				gets, sent := b.counts()
				t.Logf("%d GETs, %d bytes for %d read", gets, sent, read)
				if sent > read*11/10 {
					t.Errorf("%d bytes fetched for %d read", sent, read)
				}
			})
		})
	}
}

func TestNothingAheadOfLooking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		list := b.directory(100, 16<<10)
		p := b.pool(t, setup{})
		for i, v := range list {
			f := p.Open(v, hintOf(list, i))
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if gets, _ := b.counts(); gets != 0 {
			t.Errorf("%d GETs for opening alone", gets)
		}
	})
}

// A file that somebody has read is in the kernel's page cache: nobody fetches it ahead again, unless the kernel
// turns out to have dropped it.
func TestFilesAheadPassOverWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		list := b.directory(200, 16<<10)
		p := b.pool(t, setup{memory: 4 * mib}) // limbo forgets them
		for i := 100; i < 200; i++ {
			b.readWhole(t, p, list, i)
		}
		for i := range 100 {
			b.readWhole(t, p, list, i)
		}
		time.Sleep(time.Minute)
		if gets, _ := b.counts(); gets != 200 {
			t.Errorf("%d GETs for 200 files", gets)
		}
		start := time.Now()
		for i := range list {
			b.readWhole(t, p, list, i)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("after the kernel dropped its pages they took %v", took)
		}
	})
}

// Of several programs that take the files by turns most stand still now and then, each with the file it has taken, while one
// goes on for many files: what they come for late was no waste.
func TestFilesAheadOfProgramsThatStandStill(t *testing.T) {
	const standing, burst, files = 15, 40, 4000
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		list := b.directory(files, 16<<10)
		p := b.pool(t, setup{ranges: 128 << 20})
		start := time.Now()
		read := func(from, to int) {
			for i := from; i < to; i++ {
				b.readWhole(t, p, list, i)
			}
		}
		read(0, 30)
		for at := 30; at < files; at += standing + burst {
			read(min(at+standing, files), min(at+standing+burst, files))
			read(at, min(at+standing, files))
		}
		took := time.Since(start)
		gets, sent := b.counts()
		t.Logf("%v, %d GETs, %d bytes", took, gets, sent)
		if sent > files*16<<10*11/10 || took > 2*time.Second { // a minute when nothing is fetched ahead
			t.Errorf("%v, %d GETs of %d bytes for %d", took, gets, sent, files*16<<10)
		}
	})
}
