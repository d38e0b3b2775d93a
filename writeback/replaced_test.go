package writeback

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/ossclient"
)

// A read that misses its base waits for what is being sent of the file, and is tried again when the base is another by then: by
// its ETag, by its key alone (a copy has the ETag of what it was made of), or by there being none.
// SEMANTICS 2.3
func TestReadWaitsForWhatReplacesItsBase(t *testing.T) {
	was := ossclient.Version{Key: "a", ETag: "first", Size: 9}
	for name, tt := range map[string]struct {
		key   Key
		then  *ossclient.Version // what the bucket is known to have; nil: nothing is known
		base  *ossclient.Version // what the File has by then
		again bool
	}{
		"confirmed":          {"a", &ossclient.Version{Key: "a", ETag: "second", Size: 9}, &was, true},
		"renamed":            {"b", &ossclient.Version{Key: "b", ETag: "first", Size: 9}, &was, true},
		"not needed":         {"a", nil, nil, true},
		"changed by another": {"a", &was, &was, false},
		"nothing known":      {"a", nil, &was, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := make(chan struct{})
				s := &Store{inflight: map[Key]flight{"a": {done: done}}}
				f := &File{s: s, key: "a", base: &was}
				var again bool
				var err error
				returned := false
				go func() {
					again, err = f.replaced(context.Background(), &was)
					returned = true
				}()
				synctest.Wait()
				if returned {
					t.Fatal("it does not wait")
				}
				f.mu.Lock()
				f.key, f.confirmed, f.base = tt.key, tt.then, tt.base
				f.mu.Unlock()
				close(done)
				synctest.Wait()
				if !returned || again != tt.again || err != nil {
					t.Errorf("returned: %v, again: %v, %v; want again: %v", returned, again, err, tt.again)
				}
			})
		})
	}
}

// Whoever reads is not kept waiting for what is sent when he is interrupted.
// SEMANTICS 2.6
func TestReadWaitsNoLonger(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &Store{inflight: map[Key]flight{"a": {done: make(chan struct{})}}}
	f := &File{s: s, key: "a", base: new(ossclient.Version)}
	if again, err := f.replaced(ctx, f.base); again || !errors.Is(err, context.Canceled) {
		t.Errorf("again: %v, %v; want that it was cancelled", again, err)
	}
}
