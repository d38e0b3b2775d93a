package namespace

import (
	"context"
	"io"
	"sort"
	"strings"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// Cursor goes through a directory in the order of the keys, in which a directory "a" stands where "a/" would. Every
// name appears once. What is added or removed on the way may or may not be seen; what is there all the
// time is. A cursor is for one goroutine at a time and has to be closed.
type Cursor struct {
	t     *Tree
	dir   ossclient.Key
	place names.Place
	after string // the name to begin after, until begun

	begun bool
	src   source
	page  *page  // the one being merged
	pos   string // everything up to this sort key is in items, or has been
	items []item
	at    int    // the next of items
	upto  string // items are complete up to this sort key; empty: to the end
	ended bool   // nothing comes after items
}

// List begins to read dir after the entry called after, or from the beginning when that is empty. Because a file
// and a directory of one name have different places, the name of a directory is best given with a "/" behind it
// ([Entry.Mark]); without it, a name that is both costs a request to find out.
func (t *Tree) List(_ context.Context, dir ossclient.Key, after string) *Cursor {
	return &Cursor{t: t, dir: dir, place: names.In(dir), after: after}
}

// Mark is what to give to List in order to go on after the entry.
func (e *Entry) Mark() string {
	if e.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// Close ends what was being fetched ahead.
func (c *Cursor) Close() {
	if c.src != nil {
		c.src.close()
		c.src = nil
	}
	c.ended, c.items, c.at = true, nil, 0
}

// Next is the next entry, complete with its attributes; io.EOF after the last one. After an error the same
// entry is tried again.
func (c *Cursor) Next(ctx context.Context) (Entry, error) {
	if !c.begun {
		if e, ok, err := c.begin(ctx); ok || err != nil {
			return e, err
		}
	}
	for {
		for c.at < len(c.items) {
			at := c.t.o.Overlay.Now()
			e, ok, err := c.entry(ctx, &c.items[c.at])
			if err != nil {
				return Entry{}, err
			}
			e.At = at
			c.at++
			if ok {
				return e, nil
			}
		}
		if c.ended {
			return Entry{}, io.EOF
		}
		if err := c.admit(ctx); err != nil {
			return Entry{}, err
		}
	}
}

// Ready says whether Next need not wait for a page of the bucket: what it would look at is here, attributes apart.
func (c *Cursor) Ready() bool {
	if c.at < len(c.items) {
		it := &c.items[c.at]
		if it.dir || c.upto == "" || it.component+"/" <= c.upto {
			return true // the others need the next page: it shows whether there is a directory of the same name
		}
	}
	return c.at == len(c.items) && c.ended || c.page != nil || c.src != nil && c.src.ready()
}

// begin finds the place to begin at. The content of the directory's own object comes before everything.
func (c *Cursor) begin(ctx context.Context) (Entry, bool, error) {
	if c.after == "" || c.after == names.ContentName {
		c.begun = true
		if c.after != "" {
			return Entry{}, false, nil
		}
		return c.content(ctx)
	}
	name, isDir := strings.CutSuffix(c.after, "/")
	ref, err := c.place.Parse(name)
	if err != nil {
		return Entry{}, false, err
	}
	beside := ref.Kind == names.Beside || ref.Kind == names.LongBeside
	if ref.Kind == names.Long || ref.Kind == names.LongBeside {
		if ref.Component, err = c.t.resolve(ctx, c.dir, name, ref); err != nil {
			return Entry{}, false, err
		}
	}
	if !isDir && !beside {
		if isDir, err = c.t.hasDir(ctx, c.dir, ref.Component); err != nil {
			return Entry{}, false, err
		}
	}
	c.pos = ref.Component
	if isDir {
		c.pos += "/"
	}
	c.begun = true
	return Entry{}, false, nil
}

func (c *Cursor) content(ctx context.Context) (Entry, bool, error) {
	if c.dir == "" {
		return Entry{}, false, nil
	}
	if err := c.fetch(ctx); err != nil {
		c.begun = false
		return Entry{}, false, err
	}
	self := c.page.self
	if self == nil || self.Size == 0 {
		return Entry{}, false, nil
	}
	if st, staged := c.t.o.Overlay.Lookup(c.dir); staged && st.Kind != Attributes {
		return Entry{}, false, nil
	}
	if _, replaced := c.t.recents.since(c.dir, c.page.began); replaced {
		return Entry{}, false, nil
	}
	return c.t.contentEntry(c.dir, *self), true, nil
}

// fetch makes page the next one of the source that may be used.
func (c *Cursor) fetch(ctx context.Context) error {
	for {
		if c.src == nil {
			src, err := c.t.source(ctx, c.dir, c.pos)
			if err != nil {
				return err
			}
			c.src = src
		}
		p, err := c.src.next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.src.close()
				c.src = nil
			}
			return err
		}
		if c.t.overtaken(c.dir, p.began) {
			c.src.close()
			c.src = nil
			continue
		}
		c.page = p
		return nil
	}
}

// admit merges the next part of the page with what the overlay and the confirmations know of the same range of
// keys. The overlay is asked before the confirmations: what has left it is among them.
func (c *Cursor) admit(ctx context.Context) error {
	if c.page == nil {
		if err := c.fetch(ctx); err != nil {
			return err
		}
	}
	p := c.page
	staged := c.t.staged(c.dir, c.pos, overlayPage)
	c.upto = p.upto
	if len(staged) == overlayPage {
		if last := staged[len(staged)-1].sort(); c.upto == "" || last < c.upto {
			c.upto = last
		}
	}
	within := func(sortKey string) bool { return c.upto == "" || sortKey <= c.upto }
	staged = staged[:sort.Search(len(staged), func(i int) bool { return !within(staged[i].sort()) })]
	n := sort.Search(len(p.items), func(i int) bool { return !within(p.items[i].sort()) })
	own := c.t.recents.children(c.dir, c.pos, c.upto, p.began)
	c.t.describeOwn(c.dir, own, p.began)
	c.items, c.at = mergeSort(p, p.items[:n], staged, own), 0
	p.items = p.items[n:]
	c.pos = c.upto
	if c.upto == p.upto {
		c.ended = c.upto == ""
		c.page = nil
	}
	return nil
}

// describeOwn begins to find the attributes of what was confirmed without them: copies made by renames.
func (t *Tree) describeOwn(dir ossclient.Key, sorts []string, began uint64) {
	for _, s := range sorts {
		if own, ok := t.recents.since(dir+ossclient.Key(s), began); ok && !own.Deleted && !own.known {
			t.describe(own.Object, own.seq)
		}
	}
}

// entry shows an item as it is now; ok is false when there is nothing to show.
func (c *Cursor) entry(ctx context.Context, it *item) (e Entry, ok bool, err error) {
	b := base{began: it.began, until: it.until, dir: it.dir && it.listed}
	key := names.Join(c.dir, it.component, it.dir)
	if it.dir {
		alive, err := c.t.dirAlive(ctx, key, it.listed, b.began)
		if !alive || err != nil {
			return Entry{}, false, err
		}
		b.marker = it.call
		e, err = c.t.settleDir(ctx, c.place.Name(it.component), key, &b)
		return e, err == nil, err
	}
	name := c.place.Name(it.component)
	beside, err := c.beside(ctx, it)
	if err != nil {
		return Entry{}, false, err
	}
	if beside {
		name = c.place.Beside(it.component)
		c.t.seen.put(c.dir, name, it.component)
	}
	b.file, b.unasked = it.call, it.unasked
	return c.t.settleFile(ctx, name, key, &b)
}

// beside says whether a directory has the same component as a file. It stands further on: among the items, or, for
// the last ones, in the next page, hardly ever behind that.
func (c *Cursor) beside(ctx context.Context, it *item) (bool, error) {
	sortKey := it.component + "/"
	rest, began := c.items[c.at:], it.began
	if c.upto != "" && sortKey > c.upto {
		if c.page == nil {
			if err := c.fetch(ctx); err != nil {
				return false, err
			}
		}
		if c.page.upto != "" && sortKey > c.page.upto {
			return c.t.hasDir(ctx, c.dir, it.component)
		}
		rest, began = c.page.items, c.page.began
	}
	i := sort.Search(len(rest), func(i int) bool { return rest[i].sort() >= sortKey })
	listed := i < len(rest) && rest[i].sort() == sortKey && rest[i].listed
	return c.t.dirAlive(ctx, names.Join(c.dir, it.component, true), listed, began)
}

// hasDir says whether there is a directory of this component.
func (t *Tree) hasDir(ctx context.Context, dir ossclient.Key, component string) (bool, error) {
	key := names.Join(dir, component, true)
	if present, _ := t.pending(key); present {
		return true, nil
	}
	if b, ok := t.remembered(dir, component); ok {
		return t.dirAlive(ctx, key, b.dir, b.began)
	}
	return t.scan(ctx, key, false)
}
