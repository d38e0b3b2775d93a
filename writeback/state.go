package writeback

import (
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Kind is what a desired state says of its key.
type Kind uint8

// The kinds of desired state.
const (
	Content    Kind = iota + 1 // the object shall have this content and these attributes
	Attributes                 // the object stays, its attributes change
	Absent                     // there shall be no object
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case Content:
		return "content"
	case Attributes:
		return "attributes"
	case Absent:
		return "absent"
	}
	return "unknown"
}

// State is a key's desired state that the bucket does not have yet.
type State struct {
	Key    Key
	Kind   Kind
	Attr   attr.Attr
	Size   int64             // bytes; of a file that is being written, when it was last committed
	Target string            // symbolic links: what they point to, where it is known; other objects of Put: the body
	Base   ossclient.Version // what the bucket has at Key; ETag "" when nothing, or unknown
	Seq    uint64            // grows with each change of any state
	Open   bool              // a staged file that somebody has open
}

// Confirmation is a state that the bucket now has.
type Confirmation struct {
	Key     Key
	Deleted bool
	Object  ossclient.Object // Version, Type, CRC64, LastModified, Metadata
	Foreign bool             // another client made the bytes of Object: they are not what was written or seen here
	Exact   bool             // Object.LastModified is what a listing will say; otherwise within two seconds of it
	Attr    attr.Attr
	Target  string
	Source  ossclient.Version // of copies that a rename made: what was copied, with all that is stored with it
	// SourceModified is when Source was last modified, if a listing said it; Attr and Target are then not known.
	SourceModified time.Time
}

// Item is a direct child of a directory, of which something is pending.
type Item struct {
	Name  Key   // one component; of directories with its "/"
	Dir   bool  // Name ends with "/": there are states of, or below, that directory
	State State // of exactly that key; Kind 0 when only something below it is pending
}
