package transport

import "github.com/hanwen/go-fuse/v2/fuse"

// lending has the bytes that a READ answers with handed to the kernel from where they lie. ProtocolServer would copy
// them, and give them back before they are written.
type lending struct {
	fuse.RawFileSystem
	flying *flying
}

// slices is a fuse.ReadResult whose bytes lie somewhere, in pieces.
type slices interface {
	fuse.ReadResult
	Slices() ([][]byte, fuse.Status)
}

// Read keeps what it answers until the answer is written.
func (l *lending) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	result, status := l.RawFileSystem.Read(cancel, in, buf)
	pieces, ok := result.(slices)
	q := l.flying.request(in.Unique)
	if !status.Ok() || !ok || q == nil {
		return result, status
	}
	q.loan.result = pieces
	return &q.loan, status
}

// loan is the result of a READ until it is written.
type loan struct {
	result slices
	pieces [][]byte
}

var _ fuse.ReadResult = (*loan)(nil)

// Size is the length in bytes.
func (l *loan) Size() int { return l.result.Size() }

// Bytes copies.
func (l *loan) Bytes(buf []byte) ([]byte, fuse.Status) { return l.result.Bytes(buf) }

// Readv is called to have the bytes copied: they are remembered instead.
func (l *loan) Readv([][]byte) (n int, status fuse.Status) {
	pieces, status := l.result.Slices()
	if !status.Ok() {
		return 0, status
	}
	l.pieces = pieces
	for _, p := range pieces {
		n += len(p)
	}
	return n, fuse.OK
}

// Done is called before the bytes are written.
func (l *loan) Done() {}

// repay gives the bytes back.
func (l *loan) repay() {
	if l.result != nil {
		l.result.Done()
	}
	*l = loan{}
}
