package namespace

import (
	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// Following is the versions of up to n files that come after e in its directory, as far as that is known
// without asking.
func (t *Tree) Following(e Entry, n int) []ossclient.Version {
	dir, component := names.Split(e.Key)
	l := t.fresh(dir)
	if l == nil || e.Dir {
		return nil
	}
	var list []ossclient.Version
	for i := l.Seek(component + "\x00"); i < l.Len() && len(list) < n; i++ {
		row := l.At(i)
		if row.Dir || row.Type == ossclient.Symlink {
			continue
		}
		key := names.Join(dir, row.Component, false)
		if v, ok := t.currentVersion(key, &row, l.Began(i)); ok {
			list = append(list, v)
		}
	}
	return list
}

// currentVersion is what the bucket has at key, for all we know; ok is false when it is staged or gone.
func (t *Tree) currentVersion(key ossclient.Key, row *cache.Row, began uint64) (ossclient.Version, bool) {
	if st, ok := t.o.Overlay.Lookup(key); ok && st.Kind != Attributes {
		return ossclient.Version{}, false
	}
	if own, ok := t.recents.since(key, began); ok {
		return own.Object.Version, !own.Deleted
	}
	return ossclient.Version{Key: key, ETag: row.ETag, Size: row.Size}, true
}
