package extent

import "slices"

// Range is the bytes [Off, End).
type Range struct{ Off, End int64 }

// Len is the number of bytes.
func (r Range) Len() int64 { return r.End - r.Off }

// Set is a set of bytes, kept as sorted ranges that neither touch nor overlap. The zero value is empty.
type Set struct {
	ranges []Range
	total  int64
}

// first is the index of the first range that ends at or after off.
func (s *Set) first(off int64) int {
	i, _ := slices.BinarySearchFunc(s.ranges, off, func(r Range, off int64) int {
		if r.End < off {
			return -1
		}
		return 1
	})
	return i
}

// Add puts [off, end) in the set and returns how many bytes were not in it.
func (s *Set) Add(off, end int64) int64 {
	if off >= end {
		return 0
	}
	before := s.total
	if n := len(s.ranges); n > 0 && s.ranges[n-1].End == off { // the common case: appending
		s.ranges[n-1].End = end
		s.total += end - off
		return end - off
	}
	i := s.first(off)
	j := i
	add := Range{off, end}
	for j < len(s.ranges) && s.ranges[j].Off <= end {
		add.Off, add.End = min(add.Off, s.ranges[j].Off), max(add.End, s.ranges[j].End)
		s.total -= s.ranges[j].Len()
		j++
	}
	s.total += add.Len()
	s.ranges = slices.Replace(s.ranges, i, j, add)
	return s.total - before
}

// Remove takes [off, end) out of the set and returns how many bytes were in it.
func (s *Set) Remove(off, end int64) int64 {
	if off >= end {
		return 0
	}
	before := s.total
	i := s.first(off)
	j := i
	var keep []Range
	for j < len(s.ranges) && s.ranges[j].Off < end {
		r := s.ranges[j]
		s.total -= r.Len()
		if r.Off < off {
			keep = append(keep, Range{r.Off, min(r.End, off)})
		}
		if r.End > end {
			keep = append(keep, Range{end, r.End})
		}
		j++
	}
	for _, r := range keep {
		s.total += r.Len()
	}
	s.ranges = slices.Replace(s.ranges, i, j, keep...)
	return before - s.total
}

// Contains says whether all of [off, end) is in the set.
func (s *Set) Contains(off, end int64) bool {
	if off >= end {
		return true
	}
	i := s.first(off + 1)
	return i < len(s.ranges) && s.ranges[i].Off <= off && s.ranges[i].End >= end
}

// Overlaps says whether any byte of [off, end) is in the set.
func (s *Set) Overlaps(off, end int64) bool {
	if off >= end {
		return false
	}
	i := s.first(off + 1)
	return i < len(s.ranges) && s.ranges[i].Off < end
}

// Missing returns the parts of [off, end) that are not in the set, in order.
func (s *Set) Missing(off, end int64) []Range {
	var list []Range
	for i := s.first(off); i < len(s.ranges) && off < end; i++ {
		r := s.ranges[i]
		if r.Off >= end {
			break
		}
		if r.Off > off {
			list = append(list, Range{off, r.Off})
		}
		off = max(off, r.End)
	}
	if off < end {
		list = append(list, Range{off, end})
	}
	return list
}

// Within returns the parts of [off, end) that are in the set, in order.
func (s *Set) Within(off, end int64) []Range {
	var list []Range
	for i := s.first(off); i < len(s.ranges) && s.ranges[i].Off < end; i++ {
		r := Range{max(off, s.ranges[i].Off), min(end, s.ranges[i].End)}
		if r.Off < r.End {
			list = append(list, r)
		}
	}
	return list
}

// Len is the number of bytes in the set.
func (s *Set) Len() int64 { return s.total }

// Ranges returns the ranges in order; the slice is the caller's.
func (s *Set) Ranges() []Range { return slices.Clone(s.ranges) }

// Count is the number of ranges.
func (s *Set) Count() int { return len(s.ranges) }

// Of makes a set.
func Of(ranges ...Range) Set {
	var s Set
	for _, r := range ranges {
		s.Add(r.Off, r.End)
	}
	return s
}

// Clone is a copy.
func (s *Set) Clone() Set { return Set{slices.Clone(s.ranges), s.total} }

// Clear empties the set.
func (s *Set) Clear() { s.ranges, s.total = nil, 0 }
