package namespace

import (
	"context"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// page is a part of what the bucket has in a directory.
type page struct {
	items []item
	began uint64            // when the request was sent
	until time.Time         // how long it is believed
	upto  string            // the part is complete up to this sort key; empty: to the end
	self  *ossclient.Object // the directory's own object, on the first page
	err   error
}

// source gives the pages of a directory, one after the other.
type source interface {
	next(ctx context.Context) (*page, error)
	ready() bool // next need not wait
	close()
}

// pageRows is how many rows a page has at most: as many as OSS lists at once.
const pageRows = 1000

// source begins after the sort key from, in memory or in the bucket.
func (t *Tree) source(ctx context.Context, dir ossclient.Key, from string) (source, error) {
	l := t.known(dir)
	if w := t.opening(dir); w != nil && l != nil {
		w.reached(dir)
	} else if w != nil && from == "" {
		if ok, err := w.open(ctx, dir); err != nil {
			return nil, err
		} else if ok {
			l = t.fresh(dir)
		}
	}
	own, cancel := context.WithCancel(t.ctx)
	if l != nil {
		at := 0
		if from != "" {
			at = l.Seek(from + "\x00")
		}
		return &memorySource{pages: pages{t: t, ctx: own, dir: dir}, cancel: cancel, l: l, at: at}, nil
	}
	s := &bucketSource{pages: pages{t: t, ctx: own, dir: dir}, from: from, come: make(chan *page, 1), cancel: cancel}
	t.work.Go(func() {
		defer close(s.come)
		s.run(own)
	})
	return s, nil
}

// pages makes the pages of one source.
type pages struct {
	t      *Tree
	ctx    context.Context // ends with the source
	dir    ossclient.Key
	marked chan struct{} // closed when the directories of the page before have been asked for; nil: there was none
}

// memorySource gives a remembered listing.
type memorySource struct {
	pages
	cancel context.CancelFunc
	l      *cache.Listing
	at     int
}

func (s *memorySource) close()      { s.cancel() }
func (s *memorySource) ready() bool { return true }

func (s *memorySource) next(context.Context) (*page, error) {
	end := min(s.at+pageRows, s.l.Len())
	began := s.l.Began(s.at)
	for i := s.at; i < end; i++ { // a page of ours does not reach across the bucket's
		if s.l.Began(i) != began {
			end = i
			break
		}
	}
	rows := make([]cache.Row, 0, end-s.at)
	for i := s.at; i < end; i++ {
		rows = append(rows, s.l.At(i))
	}
	p := s.page(rows, began, s.l.Asked.Add(s.t.o.TTL))
	if end < s.l.Len() {
		p.upto = rows[len(rows)-1].Sort()
	}
	if s.at == 0 && s.l.Self != nil {
		o := s.l.Self.Object(s.l.Dir)
		p.self = &o
	}
	s.at = end
	return p, nil
}

// page makes items of rows and begins to find their attributes.
func (s *pages) page(rows []cache.Row, began uint64, until time.Time) *page {
	p := &page{items: make([]item, len(rows)), began: began, until: until}
	objects := make([]ossclient.Object, 0, len(rows))
	files := make([]*item, 0, len(rows))
	var dirs []*item
	for i := range rows {
		it := &p.items[i]
		*it = item{component: rows[i].Component, dir: rows[i].Dir, listed: true, began: began, until: until}
		if it.dir {
			dirs = append(dirs, it)
			continue
		}
		key := names.Join(s.dir, rows[i].Component, false)
		if s.t.settled(key, began) {
			o := rows[i].Object(key)
			it.unasked = &o
		} else {
			objects = append(objects, rows[i].Object(key))
			files = append(files, it)
		}
	}
	for i, call := range s.t.describePage(objects, began) {
		files[i].call = call
	}
	s.mark(dirs, began)
	return p
}

// mark begins to find the attributes of directories.
func (s *pages) mark(dirs []*item, began uint64) {
	var keys []ossclient.Key
	var calls []*call
	for _, it := range dirs {
		key := names.Join(s.dir, it.component, true)
		if l := s.t.fresh(key); l != nil {
			it.call = s.t.selfOf(l)
			continue
		}
		if s.t.o.NoHead {
			it.call = answered(nil)
			continue
		}
		it.call = &call{done: make(chan struct{})}
		keys, calls = append(keys, key), append(calls, it.call)
	}
	if len(keys) < enoughDirs || s.t.o.TTL <= 0 {
		for i := range keys {
			s.t.answer(calls[i], s.t.inquire(ossclient.Object{Version: ossclient.Version{Key: keys[i]}}, began))
		}
		return
	}
	before, done := s.marked, make(chan struct{})
	s.marked = done
	s.t.work.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		s.t.markers(s.ctx, s.dir, keys, calls, began)
	})
}

// bucketSource asks for the pages one after the other, ahead of who reads them.
type bucketSource struct {
	pages
	from   string
	come   chan *page
	cancel context.CancelFunc
}

func (s *bucketSource) next(ctx context.Context) (*page, error) {
	select {
	case p, ok := <-s.come:
		if !ok {
			return nil, context.Canceled
		}
		return p, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *bucketSource) close()      { s.cancel() }
func (s *bucketSource) ready() bool { return len(s.come) > 0 }

func (s *bucketSource) run(ctx context.Context) {
	all := s.t.collect(s.dir, s.from)
	req := ossclient.ListRequest{Prefix: s.dir, Delimiter: "/"}
	if s.from != "" {
		req.StartAfter = s.dir + ossclient.Key(s.from)
	}
	for {
		began, until := s.t.recents.tick(), s.t.now().Add(s.t.o.TTL)
		got, err := s.t.o.Bucket.List(ctx, req)
		if err != nil {
			s.send(ctx, &page{began: began, err: err})
			return
		}
		rows, self := rowsOf(s.dir, &got)
		for len(rows) > 0 && s.from != "" && rows[0].Sort() <= s.from { // the directory to begin after
			rows = rows[1:]
		}
		p := s.page(rows, began, until)
		p.self = self
		if got.Next != "" {
			p.upto = lastSort(s.dir, &got)
		}
		all.add(p, rows, p.upto)
		if (len(rows) > 0 || got.Next == "") && !s.send(ctx, p) || got.Next == "" {
			return
		}
		req.Token, req.StartAfter = got.Next, ""
	}
}

// lastSort is how far a page reaches.
func lastSort(dir ossclient.Key, p *ossclient.Page) string {
	var last ossclient.Key
	if n := len(p.Objects); n > 0 {
		last = p.Objects[n-1].Key
	}
	if n := len(p.Prefixes); n > 0 {
		last = max(last, p.Prefixes[n-1])
	}
	return string(last[len(dir):])
}

func (s *bucketSource) send(ctx context.Context, p *page) bool {
	select {
	case s.come <- p:
		return true
	case <-ctx.Done():
		return false
	}
}
