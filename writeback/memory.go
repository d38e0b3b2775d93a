package writeback

import "context"

// uploadClass is the class of the budget that requests with a body, and what is fetched for them, are taken from.
const uploadClass = "uploads"

// What a request holds while its body is on its way: a small body, and one that is sent in larger pieces.
const (
	smallBody   = 256 << 10
	largeBody   = 1 << 20
	borrowShare = 16 // of the budget, a single use takes no more than one in so many
)

// bodyMemory is what a request with a body of so many bytes holds.
func bodyMemory(size int64) int64 {
	if size > smallBody {
		return largeBody
	}
	return smallBody
}

// most is how much a single use of memory may take.
func (s *Store) most(n int64) int64 {
	if s.opt.Memory == nil {
		return n
	}
	return max(min(n, s.opt.Memory.Total()/borrowShare), 1)
}

// borrow takes memory from the budget, and waits for it.
func (s *Store) borrow(ctx context.Context, n int64) (giveBack func(), err error) {
	b := s.opt.Memory
	if b == nil {
		return func() {}, nil
	}
	n = s.most(n)
	if err := b.Acquire(ctx, uploadClass, n); err != nil {
		return nil, err
	}
	return func() { b.Release(uploadClass, n) }, nil
}
