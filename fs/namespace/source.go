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
	close()
}

// pageRows is how many rows a page has at most: as many as OSS lists at once.
const pageRows = 1000

// source begins after the sort key from, in memory or in the bucket.
func (t *Tree) source(dir ossclient.Key, from string) source {
	if l := t.known(dir); l != nil {
		at := 0
		if from != "" {
			at = l.Seek(from + "\x00")
		}
		return &memorySource{t: t, l: l, at: at}
	}
	s := &bucketSource{t: t, dir: dir, from: from, pages: make(chan *page, 1)}
	ctx, cancel := context.WithCancel(t.ctx)
	s.cancel = cancel
	t.work.Go(func() {
		defer close(s.pages)
		s.run(ctx)
	})
	return s
}

// memorySource gives a remembered listing.
type memorySource struct {
	t  *Tree
	l  *cache.Listing
	at int
}

func (s *memorySource) close() {}

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
	p := s.t.page(s.l.Dir, rows, began, s.l.Asked.Add(s.t.o.TTL))
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
func (t *Tree) page(dir ossclient.Key, rows []cache.Row, began uint64, until time.Time) *page {
	p := &page{items: make([]item, len(rows)), began: began, until: until}
	objects := make([]ossclient.Object, 0, len(rows))
	for i := range rows {
		p.items[i] = item{component: rows[i].Component, dir: rows[i].Dir, listed: true, began: began, until: until}
		if !rows[i].Dir {
			objects = append(objects, rows[i].Object(names.Join(dir, rows[i].Component, false)))
		}
	}
	calls := t.describePage(objects, began)
	for i := range p.items {
		it := &p.items[i]
		if it.dir {
			it.call = t.describeDir(names.Join(dir, it.component, true), began)
			continue
		}
		it.call, calls = calls[0], calls[1:]
	}
	return p
}

// describeDir begins to find the attributes of a directory that was listed.
func (t *Tree) describeDir(key ossclient.Key, began uint64) *call {
	c, _ := t.marker(key, &base{began: began, dir: true})
	if c == nil {
		return answered(nil)
	}
	return c
}

// bucketSource asks for the pages one after the other, ahead of who reads them.
type bucketSource struct {
	t      *Tree
	dir    ossclient.Key
	from   string
	pages  chan *page
	cancel context.CancelFunc
}

func (s *bucketSource) next(ctx context.Context) (*page, error) {
	select {
	case p, ok := <-s.pages:
		if !ok {
			return nil, context.Canceled
		}
		return p, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *bucketSource) close() { s.cancel() }

func (s *bucketSource) run(ctx context.Context) {
	asked := s.t.now()
	var b *cache.Builder
	if s.from == "" {
		b = cache.NewBuilder(s.dir, asked)
	}
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
		b = s.collect(b, began, rows, self)
		p := s.t.page(s.dir, rows, began, until)
		p.self = self
		if got.Next == "" {
			if b != nil {
				s.t.keep(b.Listing())
			}
			s.send(ctx, p)
			return
		}
		if p.upto = lastSort(s.dir, &got); len(rows) > 0 && !s.send(ctx, p) {
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
	case s.pages <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// collect adds a page to the listing to be remembered; nil when that is too large.
func (s *bucketSource) collect(b *cache.Builder, began uint64, rows []cache.Row, self *ossclient.Object) *cache.Builder {
	if b == nil {
		return nil
	}
	b.Page(began)
	for i := range rows {
		b.Add(&rows[i])
	}
	if self != nil {
		b.Self(cache.RowOf("", self))
	}
	if b.Bytes() > s.t.listings.Largest() {
		return nil
	}
	return b
}
