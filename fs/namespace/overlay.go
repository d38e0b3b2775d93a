package namespace

import "github.com/ossfs/ossfs/writeback"

// What the overlay speaks of is writeback's: a Tree reads it and changes nothing.
type (
	Kind         = writeback.Kind
	State        = writeback.State
	Item         = writeback.Item
	Confirmation = writeback.Confirmation
)

// The kinds of desired state.
const (
	Content    = writeback.Content
	Attributes = writeback.Attributes
	Absent     = writeback.Absent
)
