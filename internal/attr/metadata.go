package attr

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// The names of the x-oss-meta-* headers that carry attributes.
const (
	metaMode  = "mode"
	metaUID   = "uid"
	metaGID   = "gid"
	metaRdev  = "rdev"
	metaMtime = "mtime"
	metaAtime = "atime"
	metaCtime = "ctime"
	metaXattr = "xattr"
)

// FromMetadata reads what is stored with an object. A header that does not parse is kept in Meta as
// it is, and so survives being written back.
func FromMetadata(m ossclient.Metadata) Attr {
	a := Attr{
		ContentType:        m.ContentType,
		ContentEncoding:    m.ContentEncoding,
		ContentDisposition: m.ContentDisposition,
		ContentLanguage:    m.ContentLanguage,
		CacheControl:       m.CacheControl,
		Expires:            m.Expires,
	}
	for name, value := range m.User {
		if !a.parse(name, value) {
			if a.Meta == nil {
				a.Meta = make(map[string]string)
			}
			a.Meta[name] = value
		}
	}
	return a
}

func (a *Attr) parse(name, value string) bool {
	switch name {
	case metaMode:
		return parseUint(value, &a.Mode, HasMode, &a.Has)
	case metaUID:
		return parseUint(value, &a.UID, HasUID, &a.Has)
	case metaGID:
		return parseUint(value, &a.GID, HasGID, &a.Has)
	case metaRdev:
		return parseUint(value, &a.Rdev, 0, &a.Has)
	case metaMtime:
		return parseTime(value, &a.Mtime, HasMtime, &a.Has)
	case metaAtime:
		return parseTime(value, &a.Atime, HasAtime, &a.Has)
	case metaCtime:
		return parseTime(value, &a.Ctime, HasCtime, &a.Has)
	case metaXattr:
		x, ok := parseXattr(value)
		if ok {
			a.Xattr = x
		}
		return ok
	}
	return false
}

// Metadata is the inverse of FromMetadata.
func (a *Attr) Metadata() ossclient.Metadata {
	user := make(map[string]string, len(a.Meta)+8)
	maps.Copy(user, a.Meta)
	putUint := func(name string, v uint32, has Has) {
		if a.Has&has != 0 {
			user[name] = strconv.FormatUint(uint64(v), 10)
		}
	}
	putTime := func(name string, t time.Time, has Has) {
		if a.Has&has != 0 {
			user[name] = formatTime(t)
		}
	}
	putUint(metaMode, a.Mode, HasMode)
	putUint(metaUID, a.UID, HasUID)
	putUint(metaGID, a.GID, HasGID)
	putTime(metaMtime, a.Mtime, HasMtime)
	putTime(metaAtime, a.Atime, HasAtime)
	putTime(metaCtime, a.Ctime, HasCtime)
	if a.Rdev != 0 {
		user[metaRdev] = strconv.FormatUint(uint64(a.Rdev), 10)
	}
	if len(a.Xattr) > 0 {
		user[metaXattr] = formatXattr(a.Xattr)
	}
	return ossclient.Metadata{
		ContentType:        a.ContentType,
		ContentEncoding:    a.ContentEncoding,
		ContentDisposition: a.ContentDisposition,
		ContentLanguage:    a.ContentLanguage,
		CacheControl:       a.CacheControl,
		Expires:            a.Expires,
		User:               user,
	}
}

func parseUint(s string, v *uint32, has Has, set *Has) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return false
	}
	*v, *set = uint32(n), *set|has
	return true
}

// parseTime takes "seconds" and "seconds.fraction", seconds possibly negative. The fraction counts
// upwards from the seconds, as in st_mtim: "-1.5" is half a second before the epoch.
func parseTime(s string, t *time.Time, has Has, set *Has) bool {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return false
	}
	var nsec int64
	if frac != "" {
		if len(frac) > 9 {
			frac = frac[:9]
		}
		n, err := strconv.ParseUint(frac, 10, 32)
		if err != nil {
			return false
		}
		nsec = int64(n)
		for range 9 - len(frac) {
			nsec *= 10
		}
	}
	*t, *set = time.Unix(sec, nsec), *set|has
	return true
}

func formatTime(t time.Time) string {
	sec, nsec := t.Unix(), t.Nanosecond()
	if nsec == 0 {
		return strconv.FormatInt(sec, 10)
	}
	frac := strconv.Itoa(1_000_000_000 + nsec)[1:]
	return strconv.FormatInt(sec, 10) + "." + frac
}

func parseXattr(s string) (map[string][]byte, bool) {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return nil, false
	}
	var encoded map[string]string
	if err := json.Unmarshal([]byte(plain), &encoded); err != nil {
		return nil, false
	}
	x := make(map[string][]byte, len(encoded))
	for name, value := range encoded {
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, false
		}
		x[name] = raw
	}
	return x, true
}

func formatXattr(x map[string][]byte) string {
	encoded := make(map[string]string, len(x))
	for name, value := range x {
		encoded[name] = base64.StdEncoding.EncodeToString(value)
	}
	text, err := json.Marshal(encoded)
	if err != nil { // a map of strings always marshals
		panic(err)
	}
	return url.PathEscape(string(text))
}
