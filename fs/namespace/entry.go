package namespace

import (
	"context"
	"io/fs"
	"time"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// Entry is a file or directory as it should be shown.
type Entry struct {
	Name    string
	Key     ossclient.Key // a directory's ends with "/"
	Attr    attr.Attr     // completed: mode with type bits, owner and times are always there
	Raw     attr.Attr     // as stored
	Size    int64         // bytes
	Target  string        // of a symbolic link
	Version ossclient.Version
	At      writeback.Moment // before it was looked at
	Staged  bool             // the overlay has something for Key
	Pending bool             // it has its bytes, too: Version is not theirs
	Dir     bool
	Marker  bool // a directory that has an object of its own, in the bucket or staged
	// Object is what the bucket said, the zero value if nothing. A listing says less than a HEAD.
	Object ossclient.Object
	// Content marks the bytes of a directory's own object, shown as a file in that directory. Version.Key is
	// then the directory's key; Key is for telling it apart only.
	Content bool
	// Until is how long the entry may be believed without asking again.
	Until time.Time
}

// Seen is what a change of the entry is based on. The zero Entry is none.
func (e *Entry) Seen() writeback.Seen {
	seen := writeback.Seen{Version: e.Version, At: e.At}
	if e.Staged && seen.ETag == "" { // it is there, though the bucket does not have it
		seen.Key = e.Key
	}
	return seen
}

// ChangeKind says what happened to an entry.
type ChangeKind uint8

// The kinds of changes.
const (
	Gone     ChangeKind = iota + 1 // the entry is no longer there
	Appeared                       // it is new
	Modified                       // its bytes or attributes are others
)

// Change is a difference that was found between what had been shown and what the bucket has now, made by
// others: the kernel must be told.
type Change struct {
	Dir  ossclient.Key
	Name string
	Key  ossclient.Key
	Kind ChangeKind
}

// notExist is the error for what is not there.
func notExist(op string, key ossclient.Key) error {
	return &fs.PathError{Op: op, Path: string(key), Err: fs.ErrNotExist}
}

// meta is what is known of one version of an object: what the bucket says and what is stored with it.
type meta struct {
	object ossclient.Object
	attr   attr.Attr
	target string
}

func (t *Tree) fileEntry(name string, key ossclient.Key, m *meta, until time.Time) Entry {
	e := Entry{Name: name, Key: key, Raw: m.attr, Size: m.object.Size, Target: m.target, Version: m.object.Version, Object: m.object, Until: until}
	return t.show(e, m.object.LastModified)
}

func (t *Tree) dirEntry(name string, key ossclient.Key, m *meta, until time.Time) Entry {
	e := Entry{Name: name, Key: key, Dir: true, Until: until}
	if m != nil {
		e.Raw, e.Version, e.Object, e.Marker = m.attr, m.object.Version, m.object, true
		return t.show(e, m.object.LastModified)
	}
	return t.show(e, t.born)
}

// stagedEntry shows a state of the overlay. lastModified is of the object below it, if there is one.
func (t *Tree) stagedEntry(name string, st *State, lastModified time.Time) Entry {
	e := Entry{
		Name: name, Key: st.Key, Raw: st.Attr.Clone(), Size: st.Size, Target: st.Target, Version: st.Base, Staged: true, Pending: st.Kind == writeback.Content,
		Until: t.now().Add(t.o.TTL),
	}
	if lastModified.IsZero() {
		lastModified = t.now()
	}
	return t.show(e, lastModified)
}

// show completes the attributes, and makes the type of the mode agree with the kind of key.
func (t *Tree) show(e Entry, lastModified time.Time) Entry {
	typ := uint32(attr.TypeFile)
	if isDirKey(e.Key) {
		e.Dir, e.Size, e.Target, typ = true, 0, "", attr.TypeDir
		e.Marker = e.Marker || e.Staged
	}
	e.Attr = t.o.Defaults.Fill(e.Raw, typ, lastModified)
	if got := e.Attr.Mode & attr.TypeMask; e.Dir != (got == attr.TypeDir) {
		e.Attr.Mode = e.Attr.Mode&^attr.TypeMask | typ
	}
	if e.Attr.Mode&attr.TypeMask == attr.TypeLink {
		e.Size = int64(len(e.Target))
	}
	return e
}

// Stat asks for e again, within the time it may be believed from memory.
func (t *Tree) Stat(ctx context.Context, e Entry) (Entry, error) {
	if e.Key == t.o.Root {
		return t.Root(), nil
	}
	at := t.o.Overlay.Now()
	e, err := t.restat(ctx, e)
	e.At = at
	return e, err
}
