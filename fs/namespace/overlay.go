package namespace

import "github.com/ossfs/ossfs/writeback"

// The words of the overlay.
type (
	// State is what the bucket does not have yet of a key.
	State = writeback.State
	// Item is a child of a directory of which something is staged.
	Item = writeback.Item
	// Confirmation is what the bucket said to a change of ours.
	Confirmation = writeback.Confirmation
)

// The kinds of states.
const (
	Content    = writeback.Content
	Attributes = writeback.Attributes
	Absent     = writeback.Absent
)

var _ Overlay = (*writeback.Store)(nil)
