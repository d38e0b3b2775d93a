// Package cache remembers what the bucket said: ranges of immutable object versions, and attributes.
//
// Everything here is keyed by what cannot change, so nothing is ever invalidated: a block is (key, ETag,
// index), an attribute record is (key, ETag, size, LastModified). What no longer matches is simply not
// found. All of it may vanish at any moment, and the only effect is time.
//
// # Ranges
//
// Ranges is a bounded store, in memory, of blocks already read. A [Block] is BlockSize bytes of one version,
// the last one of an object less. It is written once, by whoever made it with NewBlock, and is immutable
// from the moment it is handed to Put or to another goroutine. It carries its identity, which Get compares,
// and is reference counted: its bytes are valid between the call that gave a reference (NewBlock, Get,
// Retain) and the matching Release, and their memory is reused after the last Release. The memory lies
// outside the Go heap, so that gigabytes of it neither delay nor inflate a garbage collection.
//
// The store is ristretto, which may refuse or drop any Put. Nobody may depend on finding a block again.
//
// All locks here are leaves.
package cache
