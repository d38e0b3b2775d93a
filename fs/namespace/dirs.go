package namespace

import (
	"context"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// dirAlive says whether there is a directory at key. listed is what the bucket said at began: whether
// anything is there. When all that we know of it has been removed by us, what is left must be looked for.
func (t *Tree) dirAlive(ctx context.Context, key ossclient.Key, listed bool, began uint64) (bool, error) {
	present, absent := t.pending(key)
	if present {
		return true, nil
	}
	added, deleted := t.recents.below(key, began)
	switch {
	case added && !absent:
		return true, nil
	case !listed && !added:
		return false, nil
	case !absent && !deleted:
		return true, nil
	}
	if l := t.fresh(key); l != nil {
		return t.anyVisible(ctx, l)
	}
	return t.scan(ctx, key, false)
}

// anyVisible says whether anything of a listing, or the directory's own object, is still there.
func (t *Tree) anyVisible(ctx context.Context, l *cache.Listing) (bool, error) {
	if l.Self != nil && t.objectVisible(l.Dir, l.First()) {
		return true, nil
	}
	if added, _ := t.recents.below(l.Dir, l.First()); added {
		return t.scan(ctx, l.Dir, false)
	}
	for i := range l.Len() {
		row := l.At(i)
		key := names.Join(l.Dir, row.Component, row.Dir)
		if !row.Dir {
			if t.objectVisible(key, l.Began(i)) {
				return true, nil
			}
			continue
		}
		if alive, err := t.dirAlive(ctx, key, true, l.Began(i)); alive || err != nil {
			return alive, err
		}
	}
	return false, nil
}

// objectVisible says whether an object that the bucket had at began is still there for us.
func (t *Tree) objectVisible(key ossclient.Key, began uint64) bool {
	if st, ok := t.o.Overlay.Lookup(key); ok {
		return st.Kind != Absent
	}
	own, ok := t.recents.since(key, began)
	return !ok || !own.Deleted
}

// scan asks the bucket for anything in the directory that we have not removed; the directory's own object
// counts unless children is set.
func (t *Tree) scan(ctx context.Context, dir ossclient.Key, children bool) (bool, error) {
	req := ossclient.ListRequest{Prefix: dir}
	if _, absent := t.o.Overlay.Below(dir); absent == 0 {
		req.MaxKeys = 2 // its own object, and one more
	}
	for {
		began := t.recents.tick()
		page, err := t.o.Bucket.List(ctx, req)
		if err != nil {
			return false, err
		}
		for i := range page.Objects {
			key := page.Objects[i].Key
			if (key != dir || !children) && t.objectVisible(key, began) {
				return true, nil
			}
		}
		if !children && t.addedVisible(dir, began, false) {
			return true, nil
		}
		if req.Token, req.MaxKeys = page.Next, 0; req.Token == "" {
			return false, nil
		}
	}
}

// addedVisible says whether anything in the directory was confirmed after began, and is there for us: what was on its way
// when we removed it is confirmed, too. The directory's own object counts unless children is set.
func (t *Tree) addedVisible(dir ossclient.Key, began uint64, children bool) bool {
	for _, key := range t.recents.added(dir, began) {
		if (key != dir || !children) && t.objectVisible(key, began) {
			return true
		}
	}
	return false
}

// anyStaged says whether the overlay has anything but absences in the directory.
func (t *Tree) anyStaged(dir ossclient.Key) bool {
	for _, it := range t.o.Overlay.Overlay(dir, "", pendingLook) {
		if it.State.Kind == Content || it.State.Kind == Attributes {
			return true
		}
	}
	present, _ := t.o.Overlay.Below(dir)
	return present > 0
}

// pendingLook is how many children are looked at before all that is pending in a directory is counted.
const pendingLook = 16

// pending says whether the overlay has something, and whether it takes something away, at or below a directory.
func (t *Tree) pending(dir ossclient.Key) (present, absent bool) {
	if st, ok := t.o.Overlay.Lookup(dir); ok {
		if st.Kind != Absent {
			return true, false
		}
		absent = true
	}
	items := t.o.Overlay.Overlay(dir, "", pendingLook)
	for _, it := range items {
		switch it.State.Kind {
		case Content, Attributes:
			return true, false
		case Absent:
			absent = true
		}
	}
	if len(items) == 0 {
		return false, absent
	}
	p, a := t.o.Overlay.Below(dir)
	return p > 0, absent || a > 0
}
