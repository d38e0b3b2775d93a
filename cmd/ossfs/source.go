package main

import (
	"strings"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	sourceScheme   = "oss://"
	minBucketBytes = 3
	maxBucketBytes = 63
	maxKeyBytes    = 1023
)

// source is what is mounted: a bucket, or what lies below a prefix of its keys.
type source struct {
	bucket string
	prefix ossclient.Key // empty, or ends with "/"
}

// String is the source as mount(8) shows it.
func (s source) String() string {
	return sourceScheme + s.bucket + strings.TrimSuffix("/"+string(s.prefix), "/")
}

// parseSource reads oss://BUCKET[/PREFIX].
func parseSource(text string) (source, error) {
	rest, ok := strings.CutPrefix(text, sourceScheme)
	if !ok {
		return source{}, usagef("%s: a bucket is written %s", quoteIfNeeded(text), suggestSource(text))
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if fault := bucketFault(bucket); fault != "" {
		return source{}, usagef("%s: bucket name %q %s", text, bucket, fault)
	}
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return source{bucket: bucket}, nil
	}
	if len(prefix) >= maxKeyBytes || strings.HasPrefix(prefix, `\`) {
		return source{}, usagef("%s: a prefix has at most %d bytes and does not begin with a backslash", text, maxKeyBytes-1)
	}
	return source{bucket: bucket, prefix: ossclient.Key(prefix + "/")}, nil
}

// suggestSource is how a source that ossfs 1.x or s3fs (bucket:/prefix), rclone (remote:bucket/prefix) or a tool that
// writes s3:// would take is written here.
func suggestSource(text string) string {
	bare, path, _ := strings.Cut(strings.TrimPrefix(text, "ossfs#"), ":")
	bucket, prefix := bare, path
	switch {
	case strings.HasPrefix(path, "//") && strings.HasPrefix(bare, "http"): // the bucket may be in the host or after it
		return "oss://BUCKET/PREFIX"
	case strings.HasPrefix(path, "//"), path != "" && path[0] != '/':
		bucket, prefix, _ = strings.Cut(strings.TrimPrefix(path, "//"), "/")
	}
	if bucketFault(bucket) != "" {
		return "oss://BUCKET/PREFIX"
	}
	return strings.TrimSuffix(sourceScheme+bucket+"/"+strings.Trim(prefix, "/"), "/")
}

// bucketFault says what makes a name no bucket's name; empty when it may be one
// (https://help.aliyun.com/en/oss/user-guide/bucket-naming-conventions).
func bucketFault(name string) string {
	switch {
	case len(name) < minBucketBytes || len(name) > maxBucketBytes:
		return "must have 3 to 63 characters"
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" && onlyBucketRunes(strings.ToLower(name)):
		return "must be in lower case"
	case !onlyBucketRunes(name):
		return "may hold only lower-case letters, digits and hyphens"
	case name[0] == '-' || name[len(name)-1] == '-':
		return "may not begin or end with a hyphen"
	}
	return ""
}

func onlyBucketRunes(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) < 0
}
