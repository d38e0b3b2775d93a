package writeback

import (
	"io"
	"sync"
	"sync/atomic"
)

// passing is what is on its way to the bucket: how far requests that have not ended have come with the staged
// files that they send. It is for showing progress alone: the bucket has confirmed none of it.
type passing struct {
	mu     sync.Mutex // guards the field below; a leaf
	bodies map[uint64]map[*passingBody]struct{}
}

// passingBody is bytes of a staged file that are read from their beginning to their end; a request that is
// repeated begins again.
type passingBody struct {
	io.ReaderAt
	at atomic.Int64
}

var _ io.ReaderAt = (*passingBody)(nil)

// ReadAt gives bytes, and notes how far they reach.
func (b *passingBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(p, off)
	b.at.Store(off + int64(n))
	return n, err
}

// begin is a body of a staged file, seen until end or forget.
func (p *passing) begin(stage uint64, r io.ReaderAt) *passingBody {
	b := &passingBody{ReaderAt: r}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bodies == nil {
		p.bodies = make(map[uint64]map[*passingBody]struct{})
	}
	if p.bodies[stage] == nil {
		p.bodies[stage] = make(map[*passingBody]struct{})
	}
	p.bodies[stage][b] = struct{}{}
	return b
}

// end is for a body whose bytes the bucket has, or will not get from it.
func (p *passing) end(stage uint64, b *passingBody) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bodies[stage], b)
	if len(p.bodies[stage]) == 0 {
		delete(p.bodies, stage)
	}
}

// forget ends all bodies of a staged file.
func (p *passing) forget(stage uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bodies, stage)
}

// bytes of a staged file that are on their way.
func (p *passing) bytes(stage uint64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	for b := range p.bodies[stage] {
		n += b.at.Load()
	}
	return n
}
