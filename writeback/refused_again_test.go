package writeback

import (
	"context"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// refusedOnce is a Bucket whose first Put is refused, once goOn is closed.
type refusedOnce struct {
	Bucket
	begun, goOn chan struct{}
}

func (b *refusedOnce) Put(ctx context.Context, p ossclient.PutRequest) (ossclient.PutResult, error) {
	select {
	case <-b.begun:
		return b.Bucket.Put(ctx, p)
	default:
	}
	close(b.begun)
	<-b.goOn
	return ossclient.PutResult{}, &ossclient.Error{Op: "PutObject", Key: p.Key, Kind: ossclient.ErrPermission}
}

// A flush that is asked for while a request is on its way, which is then refused, is not told of that refusal: it was of a time before it, and it
// is tried again.
// SEMANTICS 1.8
func TestFlushWhileItIsRefused(t *testing.T) {
	r := newRig(t)
	b := &refusedOnce{r.bucket, make(chan struct{}), make(chan struct{})}
	r.opt.Bucket = b
	s := r.open()
	f := must(s.Create("a", fileAttr(), ossclient.Version{}))(t)
	r.grow(f, "content", 0)
	r.close(f)
	<-b.begun
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush(t.Context(), "", nil) }()
	r.until("the flush waits", func() (waits bool) {
		return s.loop.ask(func() { waits = len(s.loop.waiters) > 0 }) == nil && waits
	})
	close(b.goOn)
	if err := <-flushed; err != nil {
		t.Errorf("the flush says %v", err)
	}
	r.want("a", "content")
}
