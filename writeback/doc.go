// Package writeback keeps what the bucket does not have yet: a persistent map from key to desired state.
//
// A desired state is content (a staged file and the attributes to store with it), attributes only, or
// absent. Each change of a state is a record of the journal before the call that made it returns; the
// uploader makes the bucket match, and then drops the entry. What close() returned for survives the death
// of the process at once and a loss of power within a second. DESIGN.md holds the journal's records and
// the argument why each crash point is safe, and what is checked of lost updates.
//
// Words. An entry is the state of one key that the bucket does not have; it is immutable, a change makes
// another. A staged file holds content, whole or only where it differs from its base, the version of the
// object that was edited. Dirty bytes are in no version in the bucket, local ones can be read from the
// staged file. To confirm an entry is to know that the bucket has it.
//
// Locks, in this order: File.mu, Store.change, Store.mu, and the journal's own. Changes are journaled and
// applied under Store.change, so both have one order; Store.mu is held only to look at or touch maps, never
// over the disk. None is held over a request. The scheduler is one goroutine that owns its queues alone.
package writeback
