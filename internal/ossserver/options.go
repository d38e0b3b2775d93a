package ossserver

import (
	"log/slog"
	"time"
)

// Key is an access key that the server knows; all keys belong to the one owner of all buckets.
type Key struct {
	ID, Secret string
	Token      string    // an STS key's security token; empty for a permanent key
	Expires    time.Time // of an STS key; zero: never
}

// Options say what kind of server it is. The zero value is an empty server in memory that knows no key, so that
// it answers only anonymous requests to public buckets.
type Options struct {
	Dir    string // where everything is kept; empty: memory
	Keys   []Key
	Region string // "cn-hangzhou" when empty; V4 signatures must name it
	// Domain is the name under which the service is reached: BUCKET.Domain addresses a bucket. Names that end
	// with .aliyuncs.com, localhost and IP addresses are understood without it.
	Domain string
	CNames map[string]string // custom domains: host name to bucket

	Latency   time.Duration // each request waits so long before it is looked at
	Bandwidth int64         // bytes per second, of each connection and direction; 0: no limit
	Faults    []Fault
	Seed      uint64 // of what is random: which request is faulty, which bit is flipped

	Now         func() time.Time // the server's clock; nil: time.Now
	Log         *slog.Logger     // one line for each request, at level Debug; nil: none
	MinPartSize int64            // bytes, of all parts but the last; 0: OSS's 100 KiB
	RestoreTime time.Duration    // how long a restore takes; 0: done at once
	// CheapETag makes ETags from the CRC-64 and not from the MD5, which costs more than everything else the
	// server does with a body. For benchmarks: clients must not notice, because OSS promises an MD5 only for
	// PutObject, and none should rely on it.
	CheapETag bool
	// Change, when set, is asked before each change of the disk; see package store. For tests of crashes.
	Change func(what string, n int) (int, error)
}

// The limits of the service
// (https://help.aliyun.com/en/oss/product-overview/limits,
// https://help.aliyun.com/en/oss/user-guide/object-naming-conventions).
const (
	maxObjectSize   = 5 << 30 // of PutObject, AppendObject and a part, in bytes
	maxConversion   = 1 << 30 // of CopyObject that changes the storage class, in bytes
	maxParts        = 10_000
	maxMetadata     = 8 << 10 // names and values of x-oss-meta-*, in bytes
	maxKey          = 1023    // bytes of UTF-8
	maxListed       = 1000    // keys of a page, keys of DeleteMultipleObjects
	defaultListed   = 100
	defaultMinPart  = 100 << 10
	maxDocument     = 4 << 20 // bytes of an XML body: 10,000 parts or 1,000 keys fit
	defaultRegion   = "cn-hangzhou"
	defaultMaxAge   = 3650 // days of a restored copy at most
	ownerID         = "1000000000000001"
	standardClass   = "Standard"
	privateACL      = "private"
	defaultMIMEType = "application/octet-stream"

	encryptionHeader    = "X-Oss-Server-Side-Encryption"
	encryptionKeyHeader = "X-Oss-Server-Side-Encryption-Key-Id"
)
