package namespace

import (
	"context"
	"strings"
	"time"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// base is what the bucket said of a component in a directory, and when.
type base struct {
	began uint64
	until time.Time
	file  *call // nil: there is no such object, or it is unasked
	dir   bool  // something is in the directory, or the directory has an object
	// unasked is what the bucket showed of the file when the overlay or a confirmation knew better: it may have gone from there
	// before it is looked for, having become what the bucket shows.
	unasked *ossclient.Object
	// marker is the question for the directory's own object; nil: not asked yet
	marker *call
}

// Lookup finds the entry of dir with this name. The error is names.ErrTooLong, or ossclient.ErrNotExist when
// there is none.
func (t *Tree) Lookup(ctx context.Context, dir ossclient.Key, name string) (Entry, error) {
	at := t.o.Overlay.Now()
	ref, err := names.In(dir).Parse(name)
	if err != nil {
		return Entry{}, err
	}
	switch ref.Kind {
	case names.Content:
		return t.content(ctx, dir)
	case names.Long, names.LongBeside:
		if ref.Component, err = t.resolve(ctx, dir, name, ref); err != nil {
			return Entry{}, err
		}
	}
	e, err := t.lookup(ctx, dir, ref.Component, name, ref.Kind == names.Beside || ref.Kind == names.LongBeside)
	if err != nil {
		return Entry{}, err
	}
	e.At = at
	return e, nil
}

// lookup finds a component: the directory before the file, or, with beside, the file if the directory is there.
func (t *Tree) lookup(ctx context.Context, dir ossclient.Key, component, name string, beside bool) (Entry, error) {
	dirKey, fileKey := names.Join(dir, component, true), names.Join(dir, component, false)
	if component == "" {
		fileKey = dirKey // no file has an empty component: that key is dir's own
	}
	for {
		b, known := t.remembered(dir, component)
		if !known && !beside {
			if e, ok := t.stagedOnly(name, fileKey, dirKey); ok {
				return e, nil
			}
		}
		if !known {
			var err error
			if b, err = t.askComponent(ctx, dir, component); err != nil {
				return Entry{}, err
			}
		}
		t.lookAhead(dir, component, &b)
		e, err := t.settle(ctx, name, fileKey, dirKey, beside, &b)
		if t.final(&b, err) {
			return e, err
		}
	}
}

// settle lays overlay and confirmations over what the bucket said of a component.
func (t *Tree) settle(ctx context.Context, name string, fileKey, dirKey ossclient.Key, beside bool, b *base) (Entry, error) {
	alive, err := t.dirAlive(ctx, dirKey, b.dir, b.began)
	if err != nil {
		return Entry{}, err
	}
	if alive && !beside {
		return t.settleDir(ctx, name, dirKey, b)
	}
	if beside { // alone, the file has another name, and under this one nothing is to be made that would replace it
		t.seen.note(name, fileKey, alive)
	}
	if fileKey != dirKey && alive == beside {
		e, ok, err := t.settleFile(ctx, name, fileKey, b)
		if ok || err != nil {
			return e, err
		}
	}
	return Entry{}, notExist("lookup", fileKey)
}

// final says whether what came of b may be used: it may not when a confirmation was dropped meanwhile that b may lack.
func (t *Tree) final(b *base, err error) bool {
	return err != nil && !gone(err) || !t.recents.stale(b.began)
}

// stagedOnly answers from the overlay and from confirmations alone, when a directory or file made by us is
// there. That another client has made the other kind at the same component is noticed by listings.
func (t *Tree) stagedOnly(name string, fileKey, dirKey ossclient.Key) (Entry, bool) {
	if st, ok := t.o.Overlay.Lookup(dirKey); ok && st.Kind != Absent {
		return t.stagedEntry(name, &st, time.Time{}), true
	}
	if present, _ := t.pending(dirKey); present { // a directory, whose attributes have to be asked for
		return Entry{}, false
	}
	if added, _ := t.recents.below(dirKey, 0); added && !t.knownDir(dirKey) {
		return Entry{}, false
	}
	if st, ok := t.o.Overlay.Lookup(fileKey); ok && st.Kind == Content && !isDirKey(fileKey) {
		return t.stagedEntry(name, &st, time.Time{}), true
	}
	for _, key := range []ossclient.Key{dirKey, fileKey} {
		if e, ok := t.confirmedOnly(name, key); ok {
			return e, true
		}
	}
	return Entry{}, false
}

// confirmedOnly answers from what was confirmed of a key, and is believed still.
func (t *Tree) confirmedOnly(name string, key ossclient.Key) (Entry, bool) {
	c, ok := t.recents.since(key, t.refreshes.last(t.o.Root, key))
	if !ok || c.Deleted || !c.known || t.now().Sub(c.at) >= t.o.TTL {
		return Entry{}, false
	}
	if _, pending := t.o.Overlay.Lookup(key); pending {
		return Entry{}, false
	}
	if isDirKey(key) {
		return t.dirEntry(name, key, c.meta(), c.at.Add(t.o.TTL)), true
	}
	return t.fileEntry(name, key, c.meta(), c.at.Add(t.o.TTL)), true
}

// knownDir says whether a directory's own object was confirmed.
func (t *Tree) knownDir(key ossclient.Key) bool {
	c, ok := t.recents.since(key, 0)
	return ok && !c.Deleted
}

// own is what was confirmed of an object, which has to be asked for what is stored with it if nobody knew that.
func (t *Tree) own(ctx context.Context, c *confirmed) (*meta, error) {
	if c.known {
		return c.meta(), nil
	}
	return t.describe(c.Object, c.seq).wait(ctx)
}

func (c *confirmed) meta() *meta {
	return &meta{object: c.Object, attr: c.Attr.Clone(), target: c.Target}
}

// remembered is what a listing in memory says of a component.
func (t *Tree) remembered(dir ossclient.Key, component string) (base, bool) {
	l := t.known(dir)
	if l == nil {
		l = t.spans.find(dir, component)
	}
	if l == nil || !t.believed(l) {
		return base{}, false
	}
	_, at, hasDir := l.Find(component, true)
	b := base{began: l.Began(at), until: l.Asked.Add(t.o.TTL), dir: hasDir}
	if component == "" {
		return b, true
	}
	row, at, ok := l.Find(component, false)
	b.began = min(b.began, l.Began(at))
	if ok {
		key := names.Join(dir, component, false)
		if t.settled(key, b.began) {
			o := row.Object(key)
			b.unasked = &o
		} else {
			b.file = t.describe(row.Object(key), b.began)
		}
	}
	return b, true
}

// settled says whether what the bucket had at began is of no interest: the overlay or a confirmation says what is there now.
func (t *Tree) settled(key ossclient.Key, began uint64) bool {
	if st, ok := t.o.Overlay.Lookup(key); ok {
		return st.Kind != Attributes
	}
	_, ok := t.recents.since(key, began)
	return ok
}

// settleFile lays overlay and confirmations over what the bucket said of a file.
func (t *Tree) settleFile(ctx context.Context, name string, key ossclient.Key, b *base) (Entry, bool, error) {
	st, staged := t.o.Overlay.Lookup(key)
	switch {
	case staged && st.Kind == Absent:
		return Entry{}, false, nil
	case staged && st.Kind == Content:
		return t.stagedEntry(name, &st, time.Time{}), true, nil
	}
	file := b.file
	if _, own := t.recents.since(key, b.began); b.unasked != nil && !own {
		file = t.describe(*b.unasked, b.began)
	}
	m, err := t.settleMeta(ctx, key, file, b.began)
	if err != nil || m == nil && !staged {
		return Entry{}, false, err
	}
	if !staged {
		return t.fileEntry(name, key, m, b.until), true, nil
	}
	return t.attributesEntry(name, &st, m), true, nil
}

// attributesEntry shows an object whose attributes alone are staged.
func (t *Tree) attributesEntry(name string, st *State, m *meta) Entry {
	if m == nil {
		return t.stagedEntry(name, st, time.Time{})
	}
	e := t.stagedEntry(name, st, m.object.LastModified)
	if m.target != "" {
		e.Target = m.target
		e = t.show(e, m.object.LastModified)
	}
	if m.object.ETag != "" { // the one that the attributes were set on, or what others have put there since
		e.Version = m.object.Version
	}
	if !e.Dir && e.Target == "" {
		e.Size = m.object.Size
	}
	e.Object = m.object
	return e
}

// settleMeta waits for what the bucket says of an object, unless a confirmation is newer.
func (t *Tree) settleMeta(ctx context.Context, key ossclient.Key, c *call, began uint64) (*meta, error) {
	if own, ok := t.recents.since(key, began); ok {
		if own.Deleted {
			return nil, nil
		}
		return t.own(ctx, own)
	}
	if c == nil {
		return nil, nil
	}
	m, err := c.wait(ctx)
	if err != nil {
		return nil, err
	}
	if c.began != 0 {
		began = min(began, c.began)
	}
	if own, ok := t.recents.since(key, began); ok { // meanwhile, or what was known before
		if own.Deleted {
			return nil, nil
		}
		return t.own(ctx, own)
	}
	return m, nil
}

// settleDir shows a directory that is known to be there.
func (t *Tree) settleDir(ctx context.Context, name string, key ossclient.Key, b *base) (Entry, error) {
	st, staged := t.o.Overlay.Lookup(key)
	if staged && st.Kind == Content {
		return t.stagedEntry(name, &st, time.Time{}), nil
	}
	c, began := b.marker, b.began
	if c == nil {
		var err error
		if c, began, err = t.marker(ctx, key, b); err != nil {
			return Entry{}, err
		}
	}
	m, err := t.settleMeta(ctx, key, c, began)
	if err != nil {
		return Entry{}, err
	}
	until := b.until
	if until.IsZero() {
		until = t.now().Add(t.o.TTL)
	}
	if c != nil {
		until = c.limit(until)
	}
	switch {
	case staged && st.Kind == Attributes:
		return t.attributesEntry(name, &st, m), nil
	case staged && st.Kind == Absent: // its object is about to go, what it holds keeps it
		m = nil
	}
	return t.dirEntry(name, key, m, until), nil
}

// marker begins to ask for the directory's own object, unless it is known.
func (t *Tree) marker(ctx context.Context, key ossclient.Key, b *base) (*call, uint64, error) {
	if !b.dir {
		return nil, b.began, nil
	}
	if l := t.fresh(key); l != nil {
		return t.selfOf(l), l.First(), nil
	}
	if t.o.NoHead {
		return nil, b.began, nil
	}
	if c, began, err := t.markerFrom(ctx, key); c != nil || err != nil {
		return c, began, err
	}
	return t.inquire(ossclient.Object{Version: ossclient.Version{Key: key}}, b.began), b.began, nil
}

// askComponent asks the bucket for a component: for the object and for anything in the directory, at once.
func (t *Tree) askComponent(ctx context.Context, dir ossclient.Key, component string) (base, error) {
	w := t.opening(dir)
	if w != nil {
		if ok, err := w.open(ctx, dir); err != nil {
			return base{}, err
		} else if ok {
			if b, ok := t.remembered(dir, component); ok {
				return b, nil
			}
		}
	}
	pages := t.counts.many(dir, t.now(), t.o.TTL, w != nil)
	switch {
	case pages > lookupPages:
		t.listBehind(dir, pages)
	case pages > 0:
		if l, err := t.list(ctx, dir, pages); err != nil {
			return base{}, err
		} else if l == nil {
			t.counts.listed(dir, pages, false)
		} else if b, ok := t.remembered(dir, component); ok {
			return b, nil
		}
	}
	return t.askAlone(ctx, dir, component)
}

// resolve finds the component that a short form stands for: among the keys that begin as it says.
func (t *Tree) resolve(ctx context.Context, dir ossclient.Key, name string, ref names.Ref) (string, error) {
	if c, ok := t.seen.get(dir, name); ok {
		return c, nil
	}
	place := names.In(dir)
	found := ""
	check := func(key ossclient.Key) bool {
		c, _ := names.Child(dir, key)
		if place.Matches(ref, c) {
			found = c
		}
		return found != ""
	}
	for _, it := range t.staged(dir, ref.Head, 0) {
		if !strings.HasPrefix(it.component, ref.Head) || check(dir+ossclient.Key(it.component)) {
			break
		}
	}
	req := ossclient.ListRequest{Prefix: dir + ossclient.Key(ref.Head), Delimiter: "/"}
	for found == "" {
		page, err := t.o.Bucket.List(ctx, req)
		if err != nil {
			return "", err
		}
		for i := 0; i < len(page.Objects) && !check(page.Objects[i].Key); i++ {
		}
		for i := 0; i < len(page.Prefixes) && found == "" && !check(page.Prefixes[i]); i++ {
		}
		if req.Token = page.Next; req.Token == "" {
			break
		}
	}
	if found == "" {
		return "", notExist("lookup", dir+ossclient.Key(name))
	}
	t.seen.put(dir, name, found)
	return found, nil
}

// content is the entry for the content of dir's own object.
func (t *Tree) content(ctx context.Context, dir ossclient.Key) (Entry, error) {
	none := notExist("lookup", dir+names.ContentName)
	if dir == "" {
		return Entry{}, none
	}
	b := base{began: t.recents.tick(), dir: true}
	c, began, err := t.marker(ctx, dir, &b)
	if err != nil {
		return Entry{}, err
	}
	m, err := t.settleMeta(ctx, dir, c, began)
	if err != nil {
		return Entry{}, err
	}
	if m == nil || m.object.Size == 0 {
		return Entry{}, none
	}
	if st, ok := t.o.Overlay.Lookup(dir); ok && st.Kind != Attributes {
		return Entry{}, none
	}
	return t.contentEntry(dir, m.object), nil
}

func (t *Tree) contentEntry(dir ossclient.Key, o ossclient.Object) Entry {
	e := t.fileEntry(names.ContentName, dir+names.ContentName, &meta{object: o}, t.now().Add(t.o.TTL))
	e.Content = true
	return e
}

// restat asks for an entry again, under the key it has.
func (t *Tree) restat(ctx context.Context, e Entry) (Entry, error) {
	dir, component := names.Split(e.Key)
	if e.Content {
		return t.content(ctx, dir)
	}
	for {
		b, known := t.remembered(dir, component)
		if !known {
			if got, ok := t.restaged(e); ok {
				return got, nil
			}
			var err error
			if b, err = t.askComponent(ctx, dir, component); err != nil {
				return Entry{}, err
			}
		}
		got, err := t.resettle(ctx, e, &b)
		if t.final(&b, err) {
			return got, err
		}
	}
}

// restaged is stagedOnly for an entry whose key is known.
func (t *Tree) restaged(e Entry) (Entry, bool) {
	if e.Dir {
		return t.stagedOnly(e.Name, e.Key, e.Key)
	}
	if st, ok := t.o.Overlay.Lookup(e.Key); ok && st.Kind == Content {
		return t.stagedEntry(e.Name, &st, time.Time{}), true
	}
	return t.confirmedOnly(e.Name, e.Key)
}

// resettle is settle for an entry whose key is known.
func (t *Tree) resettle(ctx context.Context, e Entry, b *base) (Entry, error) {
	if !e.Dir {
		got, ok, err := t.settleFile(ctx, e.Name, e.Key, b)
		if err == nil && !ok {
			err = notExist("stat", e.Key)
		}
		return got, err
	}
	alive, err := t.dirAlive(ctx, e.Key, b.dir, b.began)
	if err != nil {
		return Entry{}, err
	}
	if !alive {
		return Entry{}, notExist("stat", e.Key)
	}
	return t.settleDir(ctx, e.Name, e.Key, b)
}
