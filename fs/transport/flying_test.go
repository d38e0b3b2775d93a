package transport

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// asked is a request as the kernel sends it: a header, and what follows it.
func asked(op uint32, unique, node uint64, body []byte) *request {
	in := fuse.InHeader{Opcode: op, Unique: unique, NodeId: node, Length: uint32(int(unsafe.Sizeof(fuse.InHeader{})) + len(body))}
	q := &request{in: make([]byte, smallRoom)}
	q.n = copy(q.in, unsafe.Slice((*byte)(unsafe.Pointer(&in)), unsafe.Sizeof(in)))
	q.n += copy(q.in[q.n:], body)
	return q
}

// reads is a READ of a piece of a file.
func reads(node, off uint64, size uint32) *request {
	in := fuse.ReadIn{Offset: off, Size: size}
	return asked(opRead, 0, node, unsafe.Slice((*byte)(unsafe.Pointer(&in)), unsafe.Sizeof(in))[unsafe.Sizeof(in.InHeader):])
}

// renames is a rename from one directory to another.
func renames(op uint32, from, to uint64) *request {
	body := binary.NativeEndian.AppendUint64(nil, to)
	if op == opRename2 {
		body = append(body, make([]byte, 8)...) // flags, padding
	}
	return asked(op, 0, from, append(body, "a\x00b\x00"...))
}

// Who is to tell the kernel something waits for the requests that have the inode, or the pages, locked, for each of them and for no
// other. Were one not waited for, a process that is killed there would leave the program that made it in the kernel for ever.
func TestCalm(t *testing.T) {
	const node, other = 7, 8
	calm := func(c *Conn) { c.Calm(node) }
	pages := func(off, length int64) func(*Conn) { return func(c *Conn) { c.CalmPages(node, off, length) } }
	tests := []struct {
		name  string
		waits func(c *Conn)
		held  []*request // what it waits for
		not   []*request
	}{
		{"nothing", calm, nil, nil},
		{"in the directory", calm, []*request{asked(opLookup, 0, node, nil)}, []*request{asked(opLookup, 0, other, nil)}},
		{"several", calm, []*request{asked(opLookup, 0, node, nil), reads(node, 0, 1), asked(opLookup, 0, node, nil)}, []*request{reads(other, 0, 1)}},
		{"rename from", calm, []*request{renames(opRename, node, other), renames(opRename2, node, other)}, nil},
		{"rename to", calm, []*request{renames(opRename, other, node), renames(opRename2, other, node)}, []*request{renames(opRename2, other, 9)}},
		{"pages, same", pages(4096, 4096), []*request{reads(node, 4096, 4096)}, []*request{reads(other, 4096, 4096)}},
		{"pages, overlapping", pages(4096, 8192), []*request{reads(node, 0, 4097), reads(node, 12287, 1), reads(node, 0, 1<<20)}, nil},
		{"pages, within", pages(0, 1<<20), []*request{reads(node, 4096, 4096), reads(node, 0, 4096)}, nil},
		{"pages, beside", pages(4096, 4096), nil, []*request{reads(node, 0, 4096), reads(node, 8192, 4096)}},
		{"pages, not read", pages(0, 4096), nil, []*request{asked(opLookup, 0, node, nil), renames(opRename, other, node)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Conn{flying: newFlying(), ended: make(chan struct{})}
				unique := uint64(0)
				fly := func(list []*request) (uniques []uint64) {
					for _, q := range list {
						unique++
						c.flying.add(unique, flight{q, 0, q.nodes(), q.pages()})
						uniques = append(uniques, unique)
					}
					return uniques
				}
				held := fly(tt.held)
				fly(tt.not)
				const waiters = 3
				done := make(chan bool, waiters)
				for range waiters {
					go func() {
						tt.waits(c)
						done <- true
					}()
				}
				later := asked(opLookup, 0, node, nil) // it comes when they wait already
				synctest.Wait()
				fly([]*request{later})
				for _, x := range held {
					if waits := waiters - len(done); waits != waiters {
						t.Fatalf("%d of %d wait for request %d", waits, waiters, x)
					}
					c.flying.remove(x)
					synctest.Wait()
				}
				if len(done) != waiters {
					t.Errorf("%d of %d have returned", len(done), waiters)
				}
				close(c.ended)
				synctest.Wait()
				if len(c.flying.ended) != 0 {
					t.Errorf("%d ends are remembered of requests that are answered", len(c.flying.ended))
				}
			})
		})
	}
}

// Nobody waits for a request when the connection has ended.
func TestCalmAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Conn{flying: newFlying(), ended: make(chan struct{})}
		for unique := range uint64(2) {
			c.flying.add(unique, flight{nodes: [2]uint64{7}})
		}
		returned := false
		go func() {
			c.Calm(7)
			returned = true
		}()
		if synctest.Wait(); returned {
			t.Error("it did not wait")
		}
		close(c.ended)
		if synctest.Wait(); !returned {
			t.Error("it waits still")
		}
	})
}
