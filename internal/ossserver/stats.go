package ossserver

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// stats count what the server does.
type stats struct {
	in, out atomic.Int64 // bytes of bodies

	mu     sync.Mutex // guards the fields below
	counts map[string]int64
}

func (s *stats) count(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int64{}
	}
	s.counts[op]++
}

// Counts returns how many requests of each operation came since the last ResetCounts, by the API's names:
// "GetObject", "ListObjectsV2", "UploadPart", ... Refused and faulty ones count too.
func (s *Server) Counts() map[string]int64 {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	counts := maps.Clone(s.stats.counts)
	if counts == nil {
		counts = map[string]int64{}
	}
	return counts
}

// ResetCounts sets the counts and the bytes to zero.
func (s *Server) ResetCounts() {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	s.stats.counts = nil
	s.stats.in.Store(0)
	s.stats.out.Store(0)
}

// Bytes returns how many bytes of bodies came in and went out since the last ResetCounts.
func (s *Server) Bytes() (in, out int64) { return s.stats.in.Load(), s.stats.out.Load() }

// requestIDs gives each request a number that no other has, even of an earlier run.
type requestIDs struct {
	start uint64
	last  atomic.Uint32
}

// next is 24 hexadecimal digits, as OSS's are.
func (r *requestIDs) next() string {
	hex := strings.ToUpper(strconv.FormatUint(r.start, 16))
	n := strings.ToUpper(strconv.FormatUint(uint64(r.last.Add(1)), 16))
	return pad(hex, 16) + pad(n, 8)
}

func pad(s string, n int) string {
	if len(s) >= n {
		return s[len(s)-n:]
	}
	return strings.Repeat("0", n-len(s)) + s
}
