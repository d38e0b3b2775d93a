//go:build !race

package cache

// heapSlabs says whether slabs are taken from the Go heap; see the file of the race detector's builds.
const heapSlabs = false
