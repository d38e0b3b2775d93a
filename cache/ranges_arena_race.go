//go:build race

package cache

// heapSlabs: the race detector sees only the Go heap.
const heapSlabs = true
