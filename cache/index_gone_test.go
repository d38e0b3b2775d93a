package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// Who writes to a store whose files are gone, or has it written to the disk, hears that it is broken, however much he writes before he looks:
// nothing waits for a disk that takes nothing any more.
func TestNothingWaitsForAStoreThatIsGone(t *testing.T) {
	for name, do := range map[string]func(x *Index) bool{
		"written to": (*Index).write,
		"flushed": func(x *Index) bool {
			more := x.write()
			x.flush(true)
			return more
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := &Index{dir: filepath.Join(t.TempDir(), "index"), limit: 1 << 30, wake: make(chan struct{}, 1), queued: make(map[ossclient.Key][]byte)}
			if err := os.MkdirAll(x.dir, 0o700); err != nil { // nobody mends it
				t.Fatal(err)
			}
			if err := x.open(); err != nil {
				t.Fatal(err)
			}
			defer abandon(x.db)
			if err := os.RemoveAll(x.dir); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for round := range 25 { // more than fits in what may wait
					put(x, 2000)
					if !do(x) {
						t.Errorf("round %d: nothing was to be written", round)
					}
				}
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("it waits for ever")
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.broken == nil {
				t.Error("nobody has heard that it is broken, and this test tests nothing")
			}
		})
	}
}
