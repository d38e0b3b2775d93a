package namespace

import (
	"context"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// askAlone asks the bucket for a component in a directory that is not listed: when the index has a record of it, with
// a listing, which proves that the record is of the present version; else with two requests at once.
func (t *Tree) askAlone(ctx context.Context, dir ossclient.Key, component string) (base, error) {
	dirKey := names.Join(dir, component, true)
	b := base{began: t.recents.tick(), until: t.now().Add(t.o.TTL)}
	if fileKey := names.Join(dir, component, false); component != "" && (t.o.Index.Has(fileKey) || t.o.Index.Has(dirKey)) {
		if done, err := t.askListed(ctx, fileKey, &b); done || err != nil {
			return b, err
		}
	} else if component != "" {
		b.file = t.inquire(ossclient.Object{Version: ossclient.Version{Key: fileKey}}, b.began)
	}
	page, err := t.o.Bucket.List(ctx, ossclient.ListRequest{Prefix: dirKey, MaxKeys: 2})
	if err != nil {
		return base{}, err
	}
	b.dir = len(page.Objects) > 0
	if b.dir && page.Objects[0].Key == dirKey {
		b.marker = t.describe(page.Objects[0], b.began)
	} else if b.dir {
		b.marker = answered(nil)
	}
	if b.file == nil {
		return b, nil
	}
	m, err := b.file.wait(ctx)
	if err != nil {
		return base{}, err
	}
	if m == nil && !b.dir {
		t.keepEmpty(dirKey, &b)
	}
	return b, nil
}

// listedAlone is how many keys are listed for one component: it and its directory may have others between them, such as
// "a.txt" between "a" and "a/".
const listedAlone = 8

// askListed finds in one short listing the object of a component and whether there is a directory of that name. It says
// false when there is too much between the two to tell of the directory.
func (t *Tree) askListed(ctx context.Context, fileKey ossclient.Key, b *base) (bool, error) {
	page, err := t.o.Bucket.List(ctx, ossclient.ListRequest{Prefix: fileKey, MaxKeys: listedAlone})
	if err != nil {
		return false, err
	}
	dirKey := fileKey + "/"
	b.file = answered(nil)
	for i := range page.Objects {
		o := page.Objects[i]
		switch {
		case o.Key == fileKey:
			b.file = t.describe(o, b.began)
			continue
		case o.Key < dirKey:
			continue
		case o.Key == dirKey:
			b.dir, b.marker = true, t.describe(o, b.began)
		case names.Within(dirKey, o.Key):
			b.dir, b.marker = true, answered(nil)
		case page.Objects[0].Key != fileKey:
			t.keepEmpty(dirKey, b)
		}
		return true, nil
	}
	if page.Next != "" {
		return false, nil
	}
	if len(page.Objects) == 0 || page.Objects[0].Key != fileKey {
		t.keepEmpty(dirKey, b)
	}
	return true, nil
}

// keepEmpty remembers that there is nothing in a directory, and no file in its place: what we make there is all there is.
func (t *Tree) keepEmpty(dirKey ossclient.Key, b *base) {
	l := cache.NewBuilder(dirKey, b.until.Add(-t.o.TTL))
	l.Page(b.began)
	t.keep(l.Listing())
}
