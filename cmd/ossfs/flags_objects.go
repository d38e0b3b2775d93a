package main

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/ossclient"
)

// The limits of tags (https://help.aliyun.com/en/oss/user-guide/object-tagging-8), in characters.
const (
	maxTags     = 10
	maxTagName  = 128
	maxTagValue = 256
)

// defineNewObjects defines what is stored with the objects that a mount makes.
func (s *settings) defineNewObjects(flags *pflag.FlagSet) {
	text(flags, &s.storageClass, "storage-class", "CLASS", "storage class of new objects (default: the bucket's)")
	text(flags, &s.sse, "sse", "METHOD", "server-side encryption of all that is stored: AES256, KMS or SM4 (default: the bucket's)")
	text(flags, &s.sseKey, "sse-key-id", "ID", "the KMS key of --sse KMS (default: the account's own)")
	text(flags, &s.acl, "acl", "ACL", "ACL of all that is stored: default, private, public-read, public-read-write (default: the bucket's)")
	text(flags, &s.tags, "tags", "NAME=VALUE&...", "tags of new objects, at most ten")
}

// newObjects is what is stored with the objects that a mount makes; an error says which flag is wrong.
func (s *settings) newObjects() (ossclient.ObjectOptions, error) {
	o := ossclient.ObjectOptions{StorageClass: s.storageClass, ACL: s.acl, SSE: s.sse, SSEKeyID: s.sseKey}
	for _, f := range []struct {
		name, value string
		words       []string
	}{
		{"storage-class", s.storageClass, []string{"Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"}},
		{"sse", s.sse, []string{"AES256", "KMS", "SM4"}},
		{"acl", s.acl, []string{"default", "private", "public-read", "public-read-write"}},
	} {
		if f.value != "" && !slices.Contains(f.words, f.value) {
			return o, usagef("--%s %s: want %s", f.name, f.value, strings.Join(f.words, ", "))
		}
	}
	if s.sseKey != "" && s.sse != "KMS" {
		return o, usagef("--sse-key-id names a key of KMS: add --sse KMS")
	}
	if strings.ContainsFunc(s.sseKey, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return o, usagef("--sse-key-id %q: a key's ID has no such characters", s.sseKey)
	}
	var err error
	o.Tags, err = parseTags(s.tags)
	return o, err
}

// parseTags reads name=value&name=value.
func parseTags(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	tags := make(map[string]string)
	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		switch _, twice := tags[name]; {
		case !ok || !tagText(name, maxTagName) || name == "":
			return nil, usagef("--tags %s: want NAME=VALUE, several joined by &: letters, digits, spaces and + - = . _ : /, a name of at most %d characters", text, maxTagName)
		case !tagText(value, maxTagValue):
			return nil, usagef("--tags %s: the value of %s: letters, digits, spaces and + - = . _ : /, at most %d characters", text, name, maxTagValue)
		case twice:
			return nil, usagef("--tags %s: %s is there twice", text, name)
		}
		tags[name] = value
	}
	if len(tags) > maxTags {
		return nil, usagef("--tags: %d tags: an object has at most %d", len(tags), maxTags)
	}
	return tags, nil
}

// tagText says whether OSS takes a tag's name or value.
func tagText(s string, longest int) bool {
	return utf8.RuneCountInString(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(" +-=._:/", r)
	})
}
