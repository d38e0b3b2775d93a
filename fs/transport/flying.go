package transport

import "sync"

// flying are the requests that are being answered, by their unique numbers.
type flying struct {
	mu      sync.Mutex
	flights map[uint64]flight
	ended   map[uint64]chan struct{} // of those whose end somebody waits for
}

type flight struct {
	q      *request
	caller uint32    // the thread that waits; 0: none that we can see
	nodes  [2]uint64 // the inodes that the kernel may keep locked until it is answered
	pages  span      // those that it may keep locked of the first of them: a READ's
}

// span is a piece of a file, in bytes.
type span struct{ off, end int64 }

func newFlying() flying {
	return flying{flights: make(map[uint64]flight), ended: make(map[uint64]chan struct{})}
}

func (f *flying) add(unique uint64, x flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flights[unique] = x
}

func (f *flying) remove(unique uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flights, unique)
	if ended, ok := f.ended[unique]; ok {
		close(ended)
		delete(f.ended, unique)
	}
}

// on are the ends of the requests on an inode.
func (f *flying) on(node uint64) []<-chan struct{} {
	return f.ends(func(x flight) bool { return x.nodes[0] == node || x.nodes[1] == node })
}

// reading are the ends of the READs of a piece of a file.
func (f *flying) reading(node uint64, piece span) []<-chan struct{} {
	return f.ends(func(x flight) bool {
		return x.nodes[0] == node && x.pages.off < piece.end && piece.off < x.pages.end
	})
}

// writing are the ends of the WRITEs to an inode.
func (f *flying) writing(node uint64) []<-chan struct{} {
	return f.ends(func(x flight) bool { return x.nodes[0] == node && x.q.opcode() == opWrite })
}

func (f *flying) ends(of func(flight) bool) (ends []<-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for unique, x := range f.flights {
		if !of(x) {
			continue
		}
		if f.ended[unique] == nil {
			f.ended[unique] = make(chan struct{})
		}
		ends = append(ends, f.ended[unique])
	}
	return ends
}

// request is for those who answer it; nil: it is not being answered.
func (f *flying) request(unique uint64) *request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flights[unique].q
}

func (f *flying) caller(unique uint64) (thread uint32, flies bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, flies := f.flights[unique]
	return x.caller, flies
}

func (f *flying) all() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	uniques := make([]uint64, 0, len(f.flights))
	for unique := range f.flights {
		uniques = append(uniques, unique)
	}
	return uniques
}
