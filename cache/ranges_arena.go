package cache

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// pageSize is the smallest buffer; every class is a multiple of it, so that any free buffer can be given
	// back to the system alone.
	pageSize = 4 << 10
	// slabSize is mapped at once, in bytes.
	slabSize = 4 << 20
	// warmLimit is how many bytes of free buffers keep their pages. The rest keeps only its addresses.
	warmLimit = 48 << 20
)

// arena hands out page-aligned buffers and takes them back. The pages of free buffers beyond warmLimit are
// returned to the system. It is safe for concurrent use.
type arena struct {
	mu     sync.Mutex // guards the fields below
	warm   [11][][]byte
	cold   [11][][]byte
	warmed int64 // bytes in warm
	used   int64 // bytes handed out
	slabs  [][]byte
	closed bool
}

func newArena() *arena { return &arena{} }

// classSizes are the lengths of buffers in bytes, ascending.
func classSizes() [11]int {
	return [...]int{pageSize, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10, 64 << 10, 80 << 10, 96 << 10, BlockSize}
}

// class is the index of the smallest class that holds n bytes.
func class(n int) int {
	for i, size := range classSizes() {
		if n <= size {
			return i
		}
	}
	panic(fmt.Sprintf("cache: a block of %d bytes", n))
}

// get returns n bytes of undefined content. Their capacity is their class's size.
func (a *arena) get(n int) ([]byte, error) {
	c := class(n)
	a.mu.Lock()
	defer a.mu.Unlock()
	size := classSizes()[c]
	var buf []byte
	switch {
	case len(a.warm[c]) > 0:
		buf = pop(&a.warm[c])
		a.warmed -= int64(size)
	case len(a.cold[c]) > 0:
		buf = pop(&a.cold[c])
	default:
		if err := a.growLocked(c); err != nil {
			return nil, err
		}
		buf = pop(&a.cold[c])
	}
	a.used += int64(size)
	return buf[:n], nil
}

// put takes back what get returned. Nobody may touch it any more.
func (a *arena) put(buf []byte) {
	buf = buf[:cap(buf)]
	c := class(len(buf))
	poison(buf)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= int64(len(buf))
	switch {
	case a.warmed+int64(len(buf)) <= warmLimit:
		a.warm[c] = append(a.warm[c], buf)
		a.warmed += int64(len(buf))
	default:
		giveBack(buf)
		a.cold[c] = append(a.cold[c], buf)
	}
	a.unmapLocked()
}

// growLocked maps a slab and cuts it into buffers of class c.
func (a *arena) growLocked(c int) error {
	slab, err := mapSlab(slabSize)
	if err != nil {
		return fmt.Errorf("mapping %d bytes for blocks: %w", slabSize, err)
	}
	a.slabs = append(a.slabs, slab)
	size := classSizes()[c]
	for ; len(slab) >= size; slab = slab[size:] {
		a.cold[c] = append(a.cold[c], slab[:size:size])
	}
	return nil
}

// close unmaps everything as soon as the last buffer is back.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.unmapLocked()
}

func (a *arena) unmapLocked() {
	if !a.closed || a.used > 0 {
		return
	}
	for _, slab := range a.slabs {
		unmapSlab(slab)
	}
	a.slabs, a.warmed = nil, 0
	clear(a.warm[:])
	clear(a.cold[:])
}

// bytes says how much is handed out.
func (a *arena) bytes() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

func pop(list *[][]byte) []byte {
	last := len(*list) - 1
	buf := (*list)[last]
	(*list)[last] = nil
	*list = (*list)[:last]
	return buf
}

// mapSlab maps size bytes. Huge pages were tried: on a virtual machine they doubled the CPU time of a cold
// gigabyte.
func mapSlab(size int) ([]byte, error) {
	if heapSlabs {
		return make([]byte, size), nil
	}
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func unmapSlab(slab []byte) {
	if !heapSlabs {
		_ = unix.Munmap(slab) // the only errors are of arguments
	}
}

// giveBack lets the system take the pages of a free buffer; they read as zeros when next touched.
func giveBack(buf []byte) {
	if !heapSlabs {
		_ = unix.Madvise(buf, unix.MADV_DONTNEED) // a refusal costs memory, nothing else
	}
}

// poison makes the use of a released buffer visible to the tests.
func poison(buf []byte) {
	if heapSlabs {
		for i := 0; i < len(buf); i += 512 {
			buf[i] = 0xdb
		}
	}
}
