package namespace

import (
	"context"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// listTimeout bounds the listing of a directory for the sake of lookups.
const listTimeout = 2 * time.Minute

// rowsOf merges what a page has of dir, in the order of their sort keys. self is the directory's own object.
func rowsOf(dir ossclient.Key, page *ossclient.Page) (rows []cache.Row, self *ossclient.Object) {
	rows = make([]cache.Row, 0, len(page.Objects)+len(page.Prefixes))
	objects, prefixes := page.Objects, page.Prefixes
	for len(objects) > 0 || len(prefixes) > 0 {
		if len(prefixes) == 0 || len(objects) > 0 && objects[0].Key < prefixes[0] {
			o := &objects[0]
			objects = objects[1:]
			if o.Key == dir {
				self = o
				continue
			}
			component, _ := names.Child(dir, o.Key)
			rows = append(rows, cache.RowOf(component, o))
			continue
		}
		component, _ := names.Child(dir, prefixes[0])
		prefixes = prefixes[1:]
		rows = append(rows, cache.Row{Component: component, Dir: true})
	}
	return rows, self
}

// list lists a directory of at most so many pages and remembers it; nil when there are more. Callers who
// ask for the same directory at the same time share the answer.
func (t *Tree) list(ctx context.Context, dir ossclient.Key, pages int) (*cache.Listing, error) {
	ch := t.flights.DoChan(string(dir), func() (any, error) {
		ctx, cancel := context.WithTimeout(t.ctx, listTimeout)
		defer cancel()
		return t.listNow(ctx, dir, pages)
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*cache.Listing), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *Tree) listNow(ctx context.Context, dir ossclient.Key, pages int) (*cache.Listing, error) {
	b := cache.NewBuilder(dir, t.now())
	req := ossclient.ListRequest{Prefix: dir, Delimiter: "/"}
	for ; pages > 0; pages-- {
		b.Page(t.recents.tick())
		page, err := t.o.Bucket.List(ctx, req)
		if err != nil {
			return nil, err
		}
		rows, self := rowsOf(dir, &page)
		for i := range rows {
			b.Add(&rows[i])
		}
		if self != nil {
			b.Self(cache.RowOf("", self))
		}
		if req.Token = page.Next; req.Token == "" {
			l := b.Listing()
			t.keep(l)
			return l, nil
		}
	}
	return nil, nil
}

// keep remembers a listing and tells what differs from the one before.
func (t *Tree) keep(l *cache.Listing) {
	old := t.listings.Put(l)
	if old != nil && t.o.Changed != nil {
		t.compare(old, l)
	}
}

// compare calls Changed for what others did between two listings of a directory.
func (t *Tree) compare(old, now *cache.Listing) {
	place := names.In(now.Dir)
	tell := func(row *cache.Row, kind ChangeKind) {
		key := names.Join(now.Dir, row.Component, row.Dir)
		if _, own := t.o.Overlay.Lookup(key); own {
			return
		}
		if _, own := t.recents.since(key, old.First()); own {
			return
		}
		t.o.Changed(Change{Dir: now.Dir, Name: place.Name(row.Component), Key: key, Kind: kind})
	}
	for i, j := 0, 0; i < old.Len() || j < now.Len(); {
		var a, b cache.Row
		order := 0
		switch {
		case i == old.Len():
			order = 1
		case j == now.Len():
			order = -1
		}
		if order <= 0 {
			a = old.At(i)
		}
		if order >= 0 {
			b = now.At(j)
		}
		if order == 0 {
			order = compareStrings(a.Sort(), b.Sort())
		}
		switch {
		case order < 0:
			tell(&a, Gone)
			i++
		case order > 0:
			tell(&b, Appeared)
			j++
		default:
			if !a.Same(&b) {
				tell(&b, Modified)
			}
			i, j = i+1, j+1
		}
	}
	if (old.Self == nil) != (now.Self == nil) || old.Self != nil && !old.Self.Same(now.Self) {
		parent, component := names.Split(now.Dir)
		if now.Dir != t.o.Root {
			t.o.Changed(Change{Dir: parent, Name: names.In(parent).Name(component), Key: now.Dir, Kind: Modified})
		}
	}
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Forget drops what is remembered of the directory that key is in, and that the bucket has got ours there: it turned out to have
// something else.
func (t *Tree) Forget(key ossclient.Key) {
	t.recents.doubt(key)
	dir, _ := names.Split(key)
	t.listings.Forget(dir)
	t.spans.forget(dir)
}
