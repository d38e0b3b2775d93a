// Package namespace is the tree of files as it should be seen now: what the bucket has, overlaid with
// what it does not have yet.
//
// # Who is believed
//
// A question about a key is put to four, and the first that knows it answers:
//
//  1. the overlay: what is staged here and not in the bucket yet;
//  2. the recent confirmations: what the bucket said of our own changes a short while ago;
//  3. memory: complete listings of directories ([cache.Listings]), believed for Options.TTL;
//  4. the bucket.
//
// Everything has its place in one order of events, a counter: a request gets its number before it is sent,
// a confirmation when it arrives. A confirmation beats every answer, remembered or on its way, to a
// request with a smaller number, and no other. The overlay is always asked before the confirmations: an entry
// leaves it only after its confirmation has been filed, so there is no gap between the two. Of the
// confirmations a bounded number is kept; the number of the newest one dropped is the horizon, and an answer
// to a request before the horizon is not used but asked for again. Nor is one about what is below a directory that was
// refreshed since ([Tree.Refresh]).
//
// # Attributes
//
// A listing shows no attributes. They come from the index ([cache.Index]), to which the listing's ETag,
// size and time prove that its record is of this version of the object; what it does not know is asked of the
// bucket, [headsAtOnce] objects at once. A directory is an object "dir/", or no object at all and just the
// beginning of other keys.
//
// # Locks
//
// All locks are leaves and none is held across a request. Requests run under the tree's own context, so
// that a caller who is interrupted does not spoil the answer for others who wait for it too.
package namespace
