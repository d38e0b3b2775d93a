package main

const abbreviated = 3 // bytes at least: shorter words are in many others

// nearest is the candidate that a mistyped or shortened word most likely meant; empty when none is near.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 0
	for _, candidate := range candidates {
		d := editDistance(word, candidate)
		near := d <= max(1, len(word)/3) || d <= len(word) && shortens(word, candidate)
		if near && (best == "" || d < bestDistance) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// shortens reports whether a word is another one with letters left out, but for the first: mnt for mount.
func shortens(word, other string) bool {
	if len(word) < abbreviated || other == "" || word[0] != other[0] {
		return false
	}
	for i := range len(other) {
		if word != "" && word[0] == other[i] {
			word = word[1:]
		}
	}
	return word == ""
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between a and b
// (optimal string alignment).
func editDistance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
