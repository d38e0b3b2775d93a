package transport

import "sync"

// flying are the requests that are being answered, by their unique numbers.
type flying struct {
	mu      sync.Mutex
	flights map[uint64]flight
}

type flight struct {
	q      *request
	caller uint32 // the thread that waits; 0: none that we can see
}

func newFlying() flying { return flying{flights: make(map[uint64]flight)} }

func (f *flying) add(unique uint64, x flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flights[unique] = x
}

func (f *flying) remove(unique uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flights, unique)
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
