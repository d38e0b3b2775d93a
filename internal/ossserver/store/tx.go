package store

// Options say where a store lives.
type Options struct {
	Dir string // empty: memory

	// Change, when set, is asked before each change of the disk: it returns how many of n bytes still reach
	// it and an error when power fails there. For tests of crashes.
	Change func(what string, n int) (int, error)
}

// Open opens the store in a directory, or makes it; or makes one in memory. It fails when another process uses
// the directory or when the log is not ours.
func Open(o Options) (*Store, error) {
	s := &Store{buckets: map[string]*bucket{}}
	if o.Dir == "" {
		return s, nil
	}
	d, err := openDisk(o.Dir, o.Change)
	if err != nil {
		return nil, err
	}
	s.disk = d
	d.loading = true
	if err := s.openLog(); err != nil {
		if s.log != nil {
			_ = s.log.f.Close() // the other error says more
		}
		_ = d.close() // the other error says more
		return nil, err
	}
	d.loading = false
	return s, nil
}

// Close ends the use of the store. Contents still held cannot be read afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.disk == nil {
		s.closed = true
		return nil
	}
	s.closed = true
	err := s.log.f.Close()
	if e := s.disk.close(); err == nil {
		err = e
	}
	return err
}

// View calls f with a state of the store that does not change meanwhile. f must not wait for anything.
func (s *Store) View(f func(*Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return f(&Tx{store: s})
}

// Update calls f, which sees the state before it, and then does all that f asked for at once; nothing when f
// fails. f must not wait for anything. When Update returns nil it survives kill -9.
func (s *Store) Update(f func(*Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	tx := &Tx{store: s}
	if err := f(tx); err != nil {
		return err
	}
	if s.log != nil && len(tx.changes) > 0 {
		if err := s.log.append(tx.changes); err != nil {
			return err
		}
	}
	for _, c := range tx.changes {
		if c.object != nil && c.object.Content != nil {
			c.object.Content.Acquire()
		}
		if c.part != nil {
			c.part.Content.Acquire()
		}
		s.apply(c)
	}
	return nil
}

// Tx is a look at the store, and in Update the list of what to change. It is good only until f returns.
type Tx struct {
	store   *Store
	changes []change
}

// Bucket finds a bucket; nil: there is none.
func (t *Tx) Bucket(name string) *Bucket {
	if b := t.store.buckets[name]; b != nil {
		info := b.Bucket
		return &info
	}
	return nil
}

// Buckets returns all buckets' names, in no order.
func (t *Tx) Buckets() []string {
	names := make([]string, 0, len(t.store.buckets))
	for name := range t.store.buckets {
		names = append(names, name)
	}
	return names
}

// Usage returns how many objects and bytes a bucket has, and how many uploads under way.
func (t *Tx) Usage(name string) (objects, uploads int, bytes int64) {
	if b := t.store.buckets[name]; b != nil {
		return b.objects.Len(), b.uploads.Len(), b.bytes
	}
	return 0, 0, 0
}

// Object finds an object; nil: there is none, or no such bucket.
func (t *Tx) Object(bucket, key string) *Object {
	if b := t.store.buckets[bucket]; b != nil {
		o, _ := b.objects.Get(&Object{Key: key})
		return o
	}
	return nil
}

// Ascend calls f with the objects from key on (key included) in the order of the keys' bytes, until it
// returns false. When it returns a key greater than the object's, the next one is that one or the first after it.
func (t *Tx) Ascend(bucket, key string, f func(*Object) (next string, more bool)) {
	b := t.store.buckets[bucket]
	if b == nil {
		return
	}
	it := b.objects.Iter()
	defer it.Release()
	for ok := it.Seek(&Object{Key: key}); ok; {
		o := it.Item()
		next, more := f(o)
		if !more {
			return
		}
		if next > o.Key {
			ok = it.Seek(&Object{Key: next})
		} else {
			ok = it.Next()
		}
	}
}

// Upload finds an upload of key; nil: there is none.
func (t *Tx) Upload(bucket, key, id string) *Upload {
	if b := t.store.buckets[bucket]; b != nil {
		u, _ := b.uploads.Get(&Upload{ID: id, Object: Object{Key: key}})
		return u
	}
	return nil
}

// AscendUploads calls f with the uploads from (key, id) on, ordered by key and then id, until it returns false.
func (t *Tx) AscendUploads(bucket, key, id string, f func(*Upload) bool) {
	if b := t.store.buckets[bucket]; b != nil {
		b.uploads.Ascend(&Upload{ID: id, Object: Object{Key: key}}, f)
	}
}

// AscendParts calls f with the upload's parts from number on.
func (t *Tx) AscendParts(u *Upload, number int, f func(*Part) bool) {
	u.parts.Ascend(number, func(_ int, p *Part) bool { return f(p) })
}

// Part finds one part of an upload; nil: there is none.
func (t *Tx) Part(u *Upload, number int) *Part {
	p, _ := u.parts.Get(number)
	return p
}

// PutBucket makes a bucket or changes its properties.
func (t *Tx) PutBucket(info Bucket) {
	t.changes = append(t.changes, change{kind: putBucket, bucket: info.Name, info: &info})
}

// DeleteBucket removes a bucket and whatever is in it.
func (t *Tx) DeleteBucket(name string) {
	t.changes = append(t.changes, change{kind: deleteBucket, bucket: name})
}

// PutObject puts o in the place of what has its key. The store takes its own reference of the content.
func (t *Tx) PutObject(bucket string, o *Object) {
	t.changes = append(t.changes, change{kind: putObject, bucket: bucket, object: o})
}

// DeleteObject removes the object, if there is one.
func (t *Tx) DeleteObject(bucket, key string) {
	t.changes = append(t.changes, change{kind: deleteObject, bucket: bucket, key: key})
}

// PutUpload begins a multipart upload.
func (t *Tx) PutUpload(bucket string, u *Upload) {
	t.changes = append(t.changes, change{kind: putUpload, bucket: bucket, init: u})
}

// PutPart puts a part of u, in the place of what has its number.
func (t *Tx) PutPart(bucket string, u *Upload, p *Part) {
	t.changes = append(t.changes, change{kind: putPart, bucket: bucket, key: u.Object.Key, upload: u.ID, part: p})
}

// DeleteUpload forgets an upload and its parts.
func (t *Tx) DeleteUpload(bucket string, u *Upload) {
	t.changes = append(t.changes, change{kind: deleteUpload, bucket: bucket, key: u.Object.Key, upload: u.ID})
}

// apply does a change that the log has. The store takes over the reference of the content in it.
func (s *Store) apply(c change) {
	b := s.buckets[c.bucket]
	if c.kind == putBucket {
		if b == nil {
			s.buckets[c.bucket] = newBucket(*c.info)
		} else {
			b.Bucket = *c.info
		}
		return
	}
	if b == nil {
		return
	}
	switch c.kind {
	case putObject:
		old, _ := b.objects.Set(c.object)
		b.bytes += c.object.Size
		b.forget(old)
	case deleteObject:
		old, _ := b.objects.Delete(&Object{Key: c.key})
		b.forget(old)
	case putUpload:
		b.uploads.Set(c.init)
	case putPart:
		if u, ok := b.uploads.Get(&Upload{ID: c.upload, Object: Object{Key: c.key}}); ok {
			if old, replaced := u.parts.Set(c.part.Number, c.part); replaced {
				old.Content.Release()
			}
		} else {
			c.part.Content.Release()
		}
	case deleteUpload:
		u, _ := b.uploads.Delete(&Upload{ID: c.upload, Object: Object{Key: c.key}})
		u.forget()
	case deleteBucket:
		b.objects.Scan(func(o *Object) bool { b.forget(o); return true })
		b.uploads.Scan(func(u *Upload) bool { u.forget(); return true })
		delete(s.buckets, c.bucket)
	}
}

func (b *bucket) forget(o *Object) {
	if o != nil {
		b.bytes -= o.Size
		o.Content.Release()
	}
}

func (u *Upload) forget() {
	if u != nil {
		u.parts.Scan(func(_ int, p *Part) bool { p.Content.Release(); return true })
	}
}

// eachChange calls f with the changes that would make the store from nothing, until it returns false.
func (s *Store) eachChange(f func(change) bool) {
	for name, b := range s.buckets {
		if !f(change{kind: putBucket, bucket: name, info: &b.Bucket}) {
			return
		}
		more := true
		b.objects.Scan(func(o *Object) bool {
			more = f(change{kind: putObject, bucket: name, object: o})
			return more
		})
		b.uploads.Scan(func(u *Upload) bool {
			more = more && f(change{kind: putUpload, bucket: name, init: u})
			u.parts.Scan(func(_ int, p *Part) bool {
				more = more && f(change{kind: putPart, bucket: name, key: u.Object.Key, upload: u.ID, part: p})
				return more
			})
			return more
		})
		if !more {
			return
		}
	}
}

// liveRecords is how many changes eachChange makes.
func (s *Store) liveRecords() int64 {
	var n int64
	for _, b := range s.buckets {
		n += 1 + int64(b.objects.Len()) + int64(b.uploads.Len())
		b.uploads.Scan(func(u *Upload) bool { n += int64(u.parts.Len()); return true })
	}
	return n
}
