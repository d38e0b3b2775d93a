// Package attr is the form in which a file's POSIX attributes are kept with an object.
//
// The form is that of ossfs 1.x, so that its buckets mount as they are: x-oss-meta-mode is the decimal
// st_mode with its type bits, -uid and -gid are decimal, -mtime, -atime and -ctime are "seconds" or
// "seconds.nanoseconds", and -xattr holds the extended attributes as URL-escaped JSON of base64 values.
// An [Attr] knows which of these an object carries itself and what else is stored with it, so that
// writing one back loses nothing.
package attr

import (
	"maps"
	"time"
)

// The file types of st_mode (sys/stat.h); they are part of Attr.Mode.
const (
	TypeMask   = 0o170000
	TypeSocket = 0o140000
	TypeLink   = 0o120000
	TypeFile   = 0o100000
	TypeBlock  = 0o060000
	TypeDir    = 0o040000
	TypeChar   = 0o020000
	TypeFIFO   = 0o010000
	PermMask   = 0o7777
)

// Has says which attributes an object carries itself.
type Has uint8

// The attributes that an object may carry.
const (
	HasMode Has = 1 << iota
	HasUID
	HasGID
	HasMtime
	HasAtime
	HasCtime
)

// Attr is all that is stored with an object beside its bytes. The zero value says nothing.
type Attr struct {
	Has  Has
	Mode uint32 // st_mode with type bits, when Has has HasMode; type bits may be 0 in foreign buckets
	UID  uint32
	GID  uint32
	Rdev uint32 // for TypeBlock and TypeChar (x-oss-meta-rdev)

	Mtime time.Time
	Atime time.Time
	Ctime time.Time

	Xattr map[string][]byte // user.* extended attributes, full names
	Meta  map[string]string // the other x-oss-meta-*, without the prefix, names in lower case

	ContentType        string
	ContentEncoding    string
	ContentDisposition string
	ContentLanguage    string
	CacheControl       string
	Expires            string
	StorageClass       string // asked for at the next write; empty: the mount's default
}

// Type is the type bits of the mode; 0 when the object does not say.
func (a *Attr) Type() uint32 {
	if a.Has&HasMode == 0 {
		return 0
	}
	return a.Mode & TypeMask
}

// SetMode sets the whole mode, type bits included.
func (a *Attr) SetMode(mode uint32) { a.Mode, a.Has = mode, a.Has|HasMode }

// SetOwner sets user and group.
func (a *Attr) SetOwner(uid, gid uint32) { a.UID, a.GID, a.Has = uid, gid, a.Has|HasUID|HasGID }

// SetMtime sets the time of the last change of the content.
func (a *Attr) SetMtime(t time.Time) { a.Mtime, a.Has = t, a.Has|HasMtime }

// SetAtime sets the time of the last read, as a program stated it: reads themselves are not recorded.
func (a *Attr) SetAtime(t time.Time) { a.Atime, a.Has = t, a.Has|HasAtime }

// SetCtime sets the time of the last change of attributes or content.
func (a *Attr) SetCtime(t time.Time) { a.Ctime, a.Has = t, a.Has|HasCtime }

// Defaults are a mount's attributes for what an object does not say.
type Defaults struct {
	UID, GID           uint32
	FileMode, DirMode  uint32 // permission bits
	ForceUID, ForceGID bool   // uid= and gid= given: they override what objects carry
	Umask              uint32 // bits cleared from every mode shown; 0 clears nothing
}

// Fill completes an Attr for showing: what the object does not carry comes from d, and times from
// lastModified. typ is the type bits to use when the mode has none.
func (d Defaults) Fill(a Attr, typ uint32, lastModified time.Time) Attr {
	if a.Has&HasMode == 0 {
		perm := d.FileMode
		if typ == TypeDir {
			perm = d.DirMode
		}
		a.Mode = typ | perm
	} else if a.Mode&TypeMask == 0 {
		a.Mode |= typ
	}
	a.Mode &^= d.Umask & 0o777
	if a.Has&HasUID == 0 || d.ForceUID {
		a.UID = d.UID
	}
	if a.Has&HasGID == 0 || d.ForceGID {
		a.GID = d.GID
	}
	if a.Has&HasMtime == 0 {
		a.Mtime = lastModified
	}
	if a.Has&HasCtime == 0 {
		a.Ctime = a.Mtime
		if lastModified.After(a.Ctime) {
			a.Ctime = lastModified
		}
	}
	if a.Has&HasAtime == 0 {
		a.Atime = a.Mtime
	}
	return a
}

// Clone is a deep copy: Attrs that leave a lock must not share maps.
func (a Attr) Clone() Attr {
	a.Xattr = maps.Clone(a.Xattr)
	a.Meta = maps.Clone(a.Meta)
	return a
}
