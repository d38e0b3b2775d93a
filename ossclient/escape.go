package ossclient

import "strings"

const upperHex = "0123456789ABCDEF"

// unreserved reports whether RFC 3986 leaves c as it is; all else is escaped in signatures and URLs.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

// appendEscaped appends s as OSS's signatures want it: every byte that is not unreserved as %XX, a
// slash too unless keepSlash.
func appendEscaped(dst []byte, s string, keepSlash bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved(c) || c == '/' && keepSlash {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// escapePath escapes a key for a URL's path.
func escapePath(s string) string { return string(appendEscaped(make([]byte, 0, len(s)+16), s, true)) }

// escapeQuery escapes a name or value of a query.
func escapeQuery(s string) string { return string(appendEscaped(make([]byte, 0, len(s)+16), s, false)) }

// param is one parameter of a query; an empty value is sent as the bare name.
type param struct{ name, value string }

// encodeParams makes the query, which is also the canonical one of V4: sorted, escaped, joined.
func encodeParams(params []param) string {
	if len(params) == 0 {
		return ""
	}
	var b []byte
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(b, p.name, false)
		if p.value != "" {
			b = append(b, '=')
			b = appendEscaped(b, p.value, false)
		}
	}
	return string(b)
}

// trimETag takes the quotes off an ETag header.
func trimETag(s string) ETag {
	s = strings.TrimPrefix(s, "W/")
	return ETag(strings.Trim(s, `"`))
}
