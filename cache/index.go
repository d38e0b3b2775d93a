package cache

import (
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

// Identity is what a listing shows of an object, and tells one version of it from another, those
// included that differ in their metadata alone.
type Identity struct {
	ETag         ossclient.ETag
	Size         int64     // bytes
	LastModified time.Time // whole seconds
	Approximate  bool      // LastModified is within Slack of what listings will show
}

// Slack is how far an approximate LastModified may be from the one that a listing shows: OSS states
// it in the answer to an upload as Date alone, which may be of a neighbouring second.
const Slack = 2 * time.Second

// IdentityOf is the exact identity of an object that was listed or asked for.
func IdentityOf(o *ossclient.Object) Identity {
	return Identity{ETag: o.ETag, Size: o.Size, LastModified: o.LastModified}
}

// matches says whether a record stored under id is that of the object with the exact identity want.
func (id Identity) matches(want Identity) bool {
	if id.ETag != want.ETag || id.Size != want.Size {
		return false
	}
	if !id.Approximate && !want.Approximate {
		return id.LastModified.Unix() == want.LastModified.Unix()
	}
	d := id.LastModified.Sub(want.LastModified)
	return d <= Slack && d >= -Slack
}

// Record is what the index knows of one version of an object.
type Record struct {
	Attr     attr.Attr
	Target   string // of a symbolic link
	CRC64    uint64 // CRC-64/ECMA-182 of the content
	HasCRC64 bool
}
