package namespace

import (
	"context"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	// markerCredit is how many pages a new walk may fetch for directories' own objects. Each answer that came from the
	// walk allows one more, so that pages stay fewer than the questions they save, but not more than creditKept.
	markerCredit = 4
	creditKept   = 16
	// siblingsSeen is how many rows behind a directory are looked at for others.
	siblingsSeen = 1000
)

// markerFrom finds a directory's own object in a flat listing, for a program that looks up one directory after the
// other. It is nil when the bucket is better asked for that object alone.
func (t *Tree) markerFrom(ctx context.Context, key ossclient.Key) (*call, uint64, error) {
	w := t.markerWalk(key)
	if w == nil {
		return nil, 0, nil
	}
	var c *call
	began, err := apart(ctx, t, func() (began uint64, err error) {
		c, began, err = w.marker(ctx, key)
		return began, err
	})
	if err != nil { // c may still be written to
		return nil, 0, err
	}
	return c, began, nil
}

// marker is a directory's own object as the walk shows it; nil when it does not come by the directory soon.
func (w *walk) marker(ctx context.Context, key ossclient.Key) (*call, uint64, error) {
	r, t := w.main, w.t
	if err := r.take(ctx); err != nil {
		return nil, 0, err
	}
	defer r.give()
	for {
		if c, began := r.self(key); c != nil {
			w.served()
			return c, began, nil
		}
		to := ossclient.Key("")
		switch {
		case !r.begun || r.ended || t.now().Sub(r.asked) >= t.o.TTL:
			to, r.begun = key, false
		case key <= r.pos:
			return nil, 0, nil
		}
		if !w.spend() {
			return nil, 0, nil
		}
		if _, _, err := r.fetch(to); err != nil {
			return nil, 0, err
		}
	}
}

// markerWalk is the walk that comes by a directory, begun if the directory has others like it behind it.
func (t *Tree) markerWalk(key ossclient.Key) *walk {
	if key == t.o.Root || t.o.TTL <= 0 || !names.Within(t.o.Root, key) {
		return nil
	}
	parent, component := names.Split(key)
	t.walks.mu.Lock()
	w := t.walks.above(t.o.Root, parent)
	t.walks.mu.Unlock()
	if w != nil {
		return w
	}
	l := t.fresh(parent)
	if l == nil {
		return nil
	}
	_, at, _ := l.Find(component, true)
	dirs := 0
	for i := at; i < min(l.Len(), at+siblingsSeen) && dirs < enoughDirs; i++ {
		if row := l.At(i); row.Dir {
			dirs++
		}
	}
	if dirs < enoughDirs {
		return nil
	}
	return t.walkOf(parent)
}

// markers finds out which of the directories, children of dir in order, have an object of their own, and answers
// the calls. A flat page tells of many of them at once if they are small, and of directories of about a page it fetches
// all that a reader may want next; if they are larger, or such ones are many, it asks for their objects alone.
func (t *Tree) markers(ctx context.Context, dir ossclient.Key, keys []ossclient.Key, calls []*call, began uint64) {
	w := t.walkOf(dir)
	poor, large := 0, false
	for i := 0; i < len(keys); {
		if l := t.fresh(keys[i]); l != nil {
			t.answer(calls[i], t.selfOf(l))
			i++
			continue
		}
		if large || poor >= 2 && len(keys)-i > fewDirs {
			t.answer(calls[i], t.inquire(ossclient.Object{Version: ossclient.Version{Key: keys[i]}}, began))
			i++
			continue
		}
		prev := ossclient.Key("")
		if i > 0 {
			prev = keys[i-1]
		}
		page, number, own, err := w.main.reach(ctx, prev, keys[i])
		if err != nil {
			for ; i < len(keys); i++ {
				calls[i].err = err
				close(calls[i].done)
			}
			return
		}
		if page == nil {
			if own == nil {
				own = t.inquire(ossclient.Object{Version: ossclient.Version{Key: keys[i]}}, began)
			}
			t.answer(calls[i], own)
			i++
			continue
		}
		n := t.fromPage(page, number, keys[i:], calls[i:])
		if poor++; n >= enoughDirs {
			poor = 0
		}
		i += n
		large = large || n == 0
	}
}

const (
	// enoughDirs is how many directories a flat page has to tell of to be worth it.
	enoughDirs = 4
	// fewDirs are so few that a page for each is listed.
	fewDirs = 32
)

// fromPage answers the calls that a page tells of and returns how many these are; none when there is more before the
// first than expected.
func (t *Tree) fromPage(page *ossclient.Page, began uint64, keys []ossclient.Key, calls []*call) int {
	last := ossclient.Key("")
	if page.Next != "" {
		last = page.Objects[len(page.Objects)-1].Key
	}
	objects := page.Objects
	n := 0
	for ; n < len(keys) && (last == "" || keys[n] <= last); n++ {
		for len(objects) > 0 && objects[0].Key < keys[n] {
			objects = objects[1:]
		}
		if len(objects) > 0 && objects[0].Key == keys[n] {
			t.answer(calls[n], t.describe(objects[0], began))
		} else {
			t.answer(calls[n], answered(nil))
		}
	}
	return n
}

// selfOf begins to find the attributes of a listed directory's own object.
func (t *Tree) selfOf(l *cache.Listing) *call {
	c := answered(nil)
	if l.Self != nil {
		c = t.describe(l.Self.Object(l.Dir), l.First())
	}
	return c.since(l.First()).upTo(l.Asked.Add(t.o.TTL))
}

// answer makes c end as from ends.
func (t *Tree) answer(c, from *call) {
	finish := func() {
		c.began, c.meta, c.err, c.until = from.began, from.meta, from.err, from.until
		close(c.done)
	}
	select {
	case <-from.done:
		finish()
	default:
		t.work.Go(func() {
			<-from.done
			finish()
		})
	}
}
