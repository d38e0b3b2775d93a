package names

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"unicode/utf8"
)

// The reserved forms; see the package's description.
const (
	prefix       = "%oss:"
	keyForm      = prefix + "key="
	fileForm     = prefix + "file="
	longForm     = prefix + "long="
	longFileForm = prefix + "longfile="
	bytesForm    = prefix + "bytes="

	// ContentName is the name, in a directory, of the content of the directory's own object.
	ContentName = prefix + "content"

	hashBytes = 20
	hashChars = hashBytes * 8 / 5
)

const upperHex = "0123456789ABCDEF"

// escape writes "%", NUL, "/" and bytes that are not UTF-8 as %XX.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		n := unit(s[i:])
		if escaped(s[i : i+n]) {
			b.Write([]byte{'%', upperHex[s[i]>>4], upperHex[s[i]&15]})
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// unit is the length of the rune that s begins with; 1 for a byte that is not UTF-8.
func unit(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func escaped(unit string) bool {
	switch unit[0] {
	case '%', 0, '/':
		return true
	}
	return len(unit) == 1 && unit[0] >= utf8.RuneSelf
}

// unescape is the inverse of escape; ok is false for what escape never returns.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	raw := b.String()
	return raw, escape(raw) == s && strings.IndexByte(raw, '/') < 0
}

// shorten is form with the payload of s, or, when that is longer than a name may be, the long form.
func shorten(form, long, s string) string {
	if len(s) <= MaxName-len(form) {
		if n := form + escape(s); len(n) <= MaxName {
			return n
		}
	}
	sum := sha256.Sum256([]byte(s))
	room := MaxName - len(long) - hashChars - 1
	head := 0
	for head < len(s) {
		n := unit(s[head:])
		size := n
		if escaped(s[head : head+n]) {
			size = 3
		}
		if size > room {
			break
		}
		head, room = head+n, room-size
	}
	return long + hash(sum[:hashBytes]) + "=" + escape(s[:head])
}

func hash(sum []byte) string {
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum))
}

// longHead reads a name in long form. What the hash stands for is not known from the name.
func longHead(name, form string) (head string, ok bool) {
	rest, ok := strings.CutPrefix(name, form)
	if !ok || len(rest) <= hashChars || rest[hashChars] != '=' {
		return "", false
	}
	for _, c := range []byte(rest[:hashChars]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return "", false
		}
	}
	return unescape(rest[hashChars+1:])
}
