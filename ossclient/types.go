package ossclient

import (
	"time"
)

// Key is the name of an object: 1 to 1,023 bytes of UTF-8 that do not begin with "/" or "\"
// (https://help.aliyun.com/en/oss/user-guide/object-naming-conventions). A Key is raw: it is escaped only
// where it enters a URL or an XML document.
type Key string

// ETag identifies the bytes of an object's version. It is kept without the quotes that surround it
// in headers. It is the MD5 of the content only for objects made by PutObject
// (https://help.aliyun.com/en/oss/developer-reference/putobject).
type ETag string

// Version names bytes that never change: what a GET of Key with If-Match: ETag returns.
type Version struct {
	Key  Key
	ETag ETag
	Size int64 // bytes
}

// ObjectType is how an object was made, as x-oss-object-type and a listing's Type say.
type ObjectType string

// The types of objects (https://help.aliyun.com/en/oss/developer-reference/headobject).
const (
	Normal     ObjectType = "Normal"
	Multipart  ObjectType = "Multipart"
	Appendable ObjectType = "Appendable"
	Symlink    ObjectType = "Symlink"
)

// Metadata is what is stored with an object beside its bytes and returned with each GET and HEAD.
// A CopyObject that replaces metadata replaces all of it.
type Metadata struct {
	ContentType        string
	ContentEncoding    string
	ContentDisposition string
	ContentLanguage    string
	CacheControl       string
	Expires            string

	// User holds the x-oss-meta-* headers, without that prefix, names in lower case. Together names
	// and values take at most 8 KB (https://help.aliyun.com/en/oss/user-guide/manage-object-metadata-10).
	User map[string]string
}

// Object is what OSS says of one object. A listing fills everything but Metadata, CRC64,
// VersionID and Restore, a HEAD everything.
type Object struct {
	Version
	LastModified time.Time // whole seconds
	Type         ObjectType
	StorageClass string // Standard, IA, Archive, ColdArchive, DeepColdArchive
	Metadata     Metadata
	CRC64        uint64 // CRC-64/ECMA-182 of the content
	HasCRC64     bool
	VersionID    string
	Restore      string // the x-oss-restore header; empty when never restored
}

// Page is a part of a listing in the order of the keys' bytes. With a delimiter, Prefixes holds what
// was rolled up; a reader that wants one order merges the two, each being sorted.
type Page struct {
	Objects  []Object
	Prefixes []Key
	Next     string // the continuation token of the next page; empty on the last one
}
