package transport

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"testing"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const opLookup = 1

// answering is a connection whose answers come out of a pipe. Each write to it is one answer.
func answering(t *testing.T, raw fuse.RawFileSystem) (c *Conn, answer func() []byte) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_DIRECT|unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Close(fds[0]), unix.Close(fds[1])); err != nil {
			t.Error(err)
		}
	})
	c = &Conn{fd: fds[1], flying: newFlying(), ended: make(chan struct{}), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	c.rooms.most = 128 << 10
	c.ps = fuse.NewProtocolServer(&lending{raw, &c.flying}, &fuse.MountOptions{})
	return c, func() []byte {
		p := make([]byte, 1<<16)
		n, err := unix.Read(fds[0], p)
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return p[:max(n, 0)]
	}
}

// Whoever waits for an answer gets one, also to what go-fuse does not understand; who does not wait gets none.
func TestOneAnswerEach(t *testing.T) {
	short := func(op uint32) *request { // it ends in the midst of its header
		q := asked(op, 5, 1, nil)
		q.n -= 8
		return q
	}
	tests := []struct {
		name string
		q    *request
		want unix.Errno // 0: no answer
	}{
		{"a request", asked(opLookup, 5, 1, []byte("x\x00")), unix.ENOSYS},
		{"an unknown one", asked(opcodes-1, 5, 1, nil), unix.ENOSYS},
		{"a short one", short(opLookup), unix.EIO},
		{"forget", asked(opForget, 5, 1, make([]byte, 8)), 0},
		{"forget many", asked(opBatchForget, 5, 1, make([]byte, 8)), 0},
		{"a short forget", short(opForget), 0},
		{"a short forget of many", short(opBatchForget), 0},
		{"a short interrupt", short(opInterrupt), 0},
		{"interrupt of what has not begun", asked(opInterrupt, 5, 0, binary.NativeEndian.AppendUint64(nil, 77)), unix.EAGAIN},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, answer := answering(t, fuse.NewDefaultRawFileSystem())
			c.hands.Add(1)
			c.answer(tt.q, &kind{})
			got := answer()
			switch {
			case tt.want == 0 && len(got) > 0:
				t.Errorf("%x, want no answer", got)
			case tt.want != 0 && len(got) != outHeader:
				t.Fatalf("%x, want %d bytes", got, outHeader)
			case tt.want != 0:
				status, unique := -int32(binary.NativeEndian.Uint32(got[4:])), binary.NativeEndian.Uint64(got[8:])
				if unix.Errno(status) != tt.want || unique != 5 {
					t.Errorf("%v to request %d, want %v to request 5", unix.Errno(status), unique, tt.want)
				}
			}
			if more := answer(); len(more) > 0 {
				t.Errorf("a second answer: %x", more)
			}
			if n := len(c.flying.all()); n > 0 {
				t.Errorf("%d requests are being answered still", n)
			}
		})
	}
}

// spoiling answers each READ with pieces that cannot be had, or with an error.
type spoiling struct {
	fuse.RawFileSystem
	result, status fuse.Status
	given, back    int
}

func (s *spoiling) Read(<-chan struct{}, *fuse.ReadIn, []byte) (fuse.ReadResult, fuse.Status) {
	s.given++
	return &piecemeal{s}, s.status
}

type piecemeal struct{ s *spoiling }

func (p *piecemeal) Size() int                          { return 4 }
func (p *piecemeal) Bytes([]byte) ([]byte, fuse.Status) { return []byte("good"), p.s.result }
func (p *piecemeal) Slices() ([][]byte, fuse.Status) {
	return [][]byte{[]byte("go"), []byte("od")}, p.s.result
}
func (p *piecemeal) Done() { p.s.back++ }

// A READ whose bytes cannot be had is an error, not an answer without them; what was given for it is given back once.
func TestReadThatFails(t *testing.T) {
	tests := []struct {
		name           string
		result, status fuse.Status
		want           string
	}{
		{"none fails", fuse.OK, fuse.OK, "good"},
		{"the bytes", fuse.EIO, fuse.OK, ""},
		{"the READ", fuse.OK, fuse.EIO, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := &spoiling{RawFileSystem: fuse.NewDefaultRawFileSystem(), result: tt.result, status: tt.status}
			c, answer := answering(t, raw)
			q := reads(1, 0, 4096)
			q.header().Unique = 5
			c.hands.Add(1)
			c.answer(q, &kind{})
			got := answer()
			if len(got) < outHeader {
				t.Fatalf("%x is no answer", got)
			}
			status := fuse.Status(-int32(binary.NativeEndian.Uint32(got[4:])))
			if body := string(got[outHeader:]); body != tt.want || status.Ok() != (tt.want != "") {
				t.Errorf("%q, %v, want %q", body, status, tt.want)
			}
			if length := binary.NativeEndian.Uint32(got); int(length) != len(got) {
				t.Errorf("it says that it has %d bytes, and has %d", length, len(got))
			}
			if raw.given != 1 || raw.back != 1 {
				t.Errorf("%d given, %d given back", raw.given, raw.back)
			}
		})
	}
}

// The room for an answer is what the kernel asks for.
func TestPayload(t *testing.T) {
	const size = 100_000
	read := fuse.ReadIn{Size: size}
	xattr := fuse.GetXAttrIn{Size: size}
	ioctl := fuse.IoctlIn{OutSize: size}
	body := func(p unsafe.Pointer, n uintptr) []byte {
		return unsafe.Slice((*byte)(p), n)[unsafe.Sizeof(fuse.InHeader{}):]
	}
	ofRead, ofXattr := body(unsafe.Pointer(&read), unsafe.Sizeof(read)), body(unsafe.Pointer(&xattr), unsafe.Sizeof(xattr))
	for op, b := range map[uint32][]byte{
		opRead: ofRead, opReaddir: ofRead, opReaddirplus: ofRead, opGetxattr: ofXattr, opListxattr: ofXattr,
		opIoctl: body(unsafe.Pointer(&ioctl), unsafe.Sizeof(ioctl)),
	} {
		q := asked(op, 5, 1, b)
		if got := q.payload(); got != size {
			t.Errorf("opcode %d: room for %d bytes, want %d", op, got, size)
		}
		q.n -= 8
		if got := q.payload(); got != 0 {
			t.Errorf("opcode %d, too short: room for %d bytes, want none", op, got)
		}
	}
	r := rooms{most: 128 << 10}
	for _, n := range []int{1, smallRoom, smallRoom + 1, mediumRoom, mediumRoom + 1, r.most + smallRoom, r.most + smallRoom + 1, 1 << 20} {
		p := r.take(n)
		if len(p) < n {
			t.Errorf("%d bytes of room, want %d", len(p), n)
		}
		r.put(p)
	}
}

// A kind of request that waited once counts as slow until as many as slowFor of it did not.
func TestKindIsQuickAgain(t *testing.T) {
	var k kind
	k.took(quickWithin)
	if !k.quick() {
		t.Error("slow at first")
	}
	for range 2 {
		k.took(quickWithin + 1)
		for i := range slowFor {
			if k.quick() {
				t.Errorf("quick after %d, want %d", i, slowFor)
			}
			k.took(quickWithin)
		}
		if !k.quick() {
			t.Errorf("slow after %d", slowFor)
		}
	}
}
