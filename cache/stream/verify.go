package stream

import (
	"context"
	"fmt"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
)

// verify compares the CRC-64 of all blocks with the object's, waiting for those on their way. It is nil, too,
// when one of the two is not known.
func (o *object) verify(ctx context.Context) error {
	for {
		p, ok := o.unsettled()
		if !ok {
			break
		}
		err := o.await(ctx, &p, cache.BlockLen(o.version.Size, p.index))
		o.lock()
		o.unpinLocked(&p)
		o.unlock()
		if err != nil {
			return ctx.Err() // what the fetch itself failed with is told to who waits for its bytes
		}
	}
	got, want, ok := o.compare()
	if ok {
		return nil
	}
	o.pool.ranges.Drop(o.version)
	err := &ossclient.Error{Op: "GetObject", Key: o.version.Key, Kind: ossclient.ErrCorrupt,
		Err: fmt.Errorf("CRC-64 %016x, the object's is %016x", got, want)}
	o.pool.log.Error("object is damaged", "key", o.version.Key, "etag", o.version.ETag, "error", err)
	return err
}

// unsettled gives a hold on a block that is on its way and needed for the CRC-64 of the whole.
func (o *object) unsettled() (pin, bool) {
	o.lock()
	defer o.unlock()
	if !o.sums.known || o.sums.size > maxSummed {
		return pin{}, false
	}
	index := o.sums.lacking()
	if s := o.slots[index]; index < 0 || s == nil || s.fetch == nil {
		return pin{}, false
	}
	return o.pinLocked(index), true
}

// compare says whether what was fetched can be the object. If not, every block of it is forgotten.
func (o *object) compare() (got, want uint64, ok bool) {
	o.lock()
	defer o.unlock()
	if !o.sums.known || o.sums.size > maxSummed || o.sums.lacking() >= 0 {
		return 0, 0, true // it was read without being kept, or is not wanted any more
	}
	got, want = o.sums.whole(o.pool.shift), o.sums.want
	if got == want {
		return got, want, true
	}
	o.corrupt = true
	for index, s := range o.slots {
		if s.fetch == nil {
			s.offered = true
			delete(o.slots, index) // who holds it lets go of it in time
		}
	}
	o.sums = sums{size: o.sums.size, want: want, known: true}
	return got, want, false
}
