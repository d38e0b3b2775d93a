package cache

import (
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// What was put before a Flush is in the store's files when it returns: another process that finds them as they are
// then has it.
func TestIndexFlush(t *testing.T) {
	x, err := OpenIndex(t.TempDir(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := ossclient.Object{Version: ossclient.Version{Key: "a", ETag: "e", Size: 1}, LastModified: time.Unix(1700000000, 0)}
	var a attr.Attr
	a.SetMode(attr.TypeFile | 0o640)
	x.Put("a", IdentityOf(&o), Record{Attr: a})
	x.Flush()
	if n := x.db.Metrics().MemTable.Count; n != 1 {
		t.Errorf("%d tables in memory, want one, empty", n)
	}
	if n := x.db.Metrics().Total().TablesCount; n == 0 {
		t.Error("nothing was written")
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x.Flush() // after Close it is done already
}
