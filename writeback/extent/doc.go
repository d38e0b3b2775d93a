// Package extent keeps sets of byte ranges: which bytes of a file are dirty, here, or sent. A Set is not
// safe for use by several goroutines at once.
package extent
