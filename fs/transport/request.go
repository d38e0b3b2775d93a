package transport

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	outHeader = 16      // bytes of struct fuse_out_header
	smallRoom = 8 << 10 // bytes of a request without its WRITE, and of most answers
)

// request is one request of the kernel, and the room for its answer.
type request struct {
	in    []byte // room for any request
	n     int    // bytes of in
	loan  loan
	small [smallRoom]byte
}

func (q *request) header() *fuse.InHeader { return (*fuse.InHeader)(unsafe.Pointer(&q.in[0])) }
func (q *request) opcode() uint32         { return q.header().Opcode }

// nodes are the inodes that the request is of.
func (q *request) nodes() [2]uint64 {
	nodes := [2]uint64{q.header().NodeId}
	const head = int(unsafe.Sizeof(fuse.InHeader{}))
	if op := q.opcode(); (op == opRename || op == opRename2) && q.n >= head+8 { // the directory that it is renamed to comes first
		nodes[1] = binary.NativeEndian.Uint64(q.in[head:])
	}
	return nodes
}

// pages are those that the request reads.
func (q *request) pages() span {
	if q.opcode() != opRead || q.n < int(unsafe.Sizeof(fuse.ReadIn{})) {
		return span{}
	}
	in := (*fuse.ReadIn)(unsafe.Pointer(&q.in[0]))
	return span{int64(in.Offset), int64(in.Offset) + int64(in.Size)}
}

// payload is how many bytes the kernel asks for: the answer is that long at most, but for its head.
func (q *request) payload() int {
	switch op := q.opcode(); {
	case op == opRead || op == opReaddir || op == opReaddirplus:
		return sizeIn[fuse.ReadIn](q, func(in *fuse.ReadIn) uint32 { return in.Size })
	case op == opGetxattr || op == opListxattr:
		return sizeIn[fuse.GetXAttrIn](q, func(in *fuse.GetXAttrIn) uint32 { return in.Size })
	case op == opIoctl:
		return sizeIn[fuse.IoctlIn](q, func(in *fuse.IoctlIn) uint32 { return in.OutSize })
	}
	return 0
}

func sizeIn[T any](q *request, size func(*T) uint32) int {
	if q.n < int(unsafe.Sizeof(*new(T))) {
		return 0 // too short: go-fuse refuses it
	}
	return int(size((*T)(unsafe.Pointer(&q.in[0]))))
}

// shrink gives the room for large requests to others when the request is a small one: it may take long to be answered.
func (q *request) shrink(r *rooms) {
	if q.n <= smallRoom && len(q.in) > smallRoom {
		in := r.take(smallRoom)
		copy(in, q.in[:q.n])
		r.put(q.in)
		q.in = in
	}
}

// bytesOf are those of a request of our own making, T, whose header is h.
func bytesOf[T any](in *T, h *fuse.InHeader) []byte {
	h.Length = uint32(unsafe.Sizeof(*in))
	return unsafe.Slice((*byte)(unsafe.Pointer(in)), unsafe.Sizeof(*in))
}

// refuse makes an answer that is an error alone.
func refuse(out []byte, unique uint64, status fuse.Status) int {
	binary.NativeEndian.PutUint32(out, outHeader)
	binary.NativeEndian.PutUint32(out[4:], uint32(-int32(status)))
	binary.NativeEndian.PutUint64(out[8:], unique)
	return outHeader
}

// rooms are requests and buffers that are used again: large ones for requests, small ones for those that take long, and answers
// of two sizes.
type rooms struct {
	most                 int // MaxWrite
	requests             sync.Pool
	small, medium, large sync.Pool
}

const mediumRoom = 128<<10 + smallRoom // the kernel's usual read-ahead, and what it asks of a directory

func (r *rooms) request() *request {
	q, ok := r.requests.Get().(*request)
	if !ok {
		q = new(request)
	}
	q.in = r.take(r.most + smallRoom)
	return q
}

func (r *rooms) give(q *request) {
	r.put(q.in)
	q.in, q.n = nil, 0
	r.requests.Put(q)
}

// take gives n bytes and more.
func (r *rooms) take(n int) []byte {
	size, pool := r.most+smallRoom, &r.large
	switch {
	case n <= smallRoom:
		size, pool = smallRoom, &r.small
	case n <= mediumRoom && mediumRoom < size:
		size, pool = mediumRoom, &r.medium
	case n > size: // a kernel that asks for more than it was told to
		return make([]byte, n)
	}
	if p, ok := pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, size)
}

func (r *rooms) put(p []byte) {
	switch len(p) {
	case smallRoom:
		r.small.Put(&p)
	case mediumRoom:
		r.medium.Put(&p)
	case r.most + smallRoom:
		r.large.Put(&p)
	}
}
