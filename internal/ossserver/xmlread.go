package ossserver

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanXML calls f with each innermost element of a document: its path ("Delete/Object/Key") and its text. It
// takes what encoding/xml refuses and OSS does not: references to characters that XML 1.0 has no room for, such
// as &#1;, which keys can hold. Attributes, comments and processing instructions are passed over. It reports
// whether the document is well-formed.
func scanXML(doc string, begin func(path string), f func(path, text string)) bool {
	var path []string
	inner := false // nothing but text since the last start tag
	var text strings.Builder
	closed := false
	for doc != "" {
		before, rest, found := strings.Cut(doc, "<")
		if !unescapeXML(&text, before) {
			return false
		}
		if !found {
			return closed && strings.TrimSpace(before) == ""
		}
		tag, after, found := cutTag(rest)
		if !found {
			return false
		}
		doc = after
		switch {
		case strings.HasPrefix(tag, "?") || strings.HasPrefix(tag, "!"):
		case strings.HasPrefix(tag, "/"):
			name := strings.TrimSpace(tag[1:])
			if len(path) == 0 || path[len(path)-1] != name {
				return false
			}
			if inner {
				f(strings.Join(path, "/"), text.String())
			}
			path, inner = path[:len(path)-1], false
			closed = len(path) == 0
		default:
			if closed {
				return false
			}
			name, selfClosed := strings.CutSuffix(tag, "/")
			name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
			if name == "" || len(path) > 16 {
				return false
			}
			path = append(path, name)
			if begin != nil {
				begin(strings.Join(path, "/"))
			}
			inner = true
			text.Reset()
			if selfClosed {
				f(strings.Join(path, "/"), "")
				path, inner = path[:len(path)-1], false
				closed = len(path) == 0
			}
		}
	}
	return closed
}

// cutTag cuts after the tag's ">"; a comment ends with "-->".
func cutTag(s string) (tag, after string, found bool) {
	if strings.HasPrefix(s, "!--") {
		tag, after, found = strings.Cut(s, "-->")
		return tag, after, found
	}
	return strings.Cut(s, ">")
}

// unescapeXML appends text with its references resolved; false: one is malformed.
func unescapeXML(b *strings.Builder, s string) bool {
	for {
		before, rest, found := strings.Cut(s, "&")
		b.WriteString(before)
		if !found {
			return true
		}
		name, after, found := strings.Cut(rest, ";")
		if !found {
			return false
		}
		s = after
		switch name {
		case "amp":
			b.WriteByte('&')
		case "lt":
			b.WriteByte('<')
		case "gt":
			b.WriteByte('>')
		case "quot":
			b.WriteByte('"')
		case "apos":
			b.WriteByte('\'')
		default:
			r, ok := characterReference(name)
			if !ok {
				return false
			}
			b.WriteRune(r)
		}
	}
}

func characterReference(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}
