package names

import (
	"fmt"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	// MaxName is the length of the longest name, in bytes (NAME_MAX).
	MaxName = 255
	// MaxKey is the length of the longest key, in bytes
	// (https://help.aliyun.com/en/oss/user-guide/object-naming-conventions).
	MaxKey = 1023
)

var (
	// ErrTooLong: the name is longer than MaxName, or the key would be longer than MaxKey. It is ENAMETOOLONG.
	ErrTooLong = fmt.Errorf("name too long for a key: %w", syscall.ENAMETOOLONG)
	// ErrInvalid: there can be no such name, or no file can be made under it. It is EINVAL.
	ErrInvalid = fmt.Errorf("not a name that a file can have: %w", syscall.EINVAL)
)

// Place is where a component stands: at the top of the bucket OSS takes less than elsewhere.
type Place struct{ top bool }

// In is the place of dir's children. dir is a whole key, with the mount's prefix: "" or "a/b/".
func In(dir ossclient.Key) Place { return Place{top: dir == ""} }

// Kind says what a name stands for.
type Kind uint8

// The kinds of names.
const (
	Plain      Kind = iota // a file or directory whose component is known
	Beside                 // the file beside the directory of the same component
	Long                   // a file or directory whose component must be looked for
	LongBeside             // Beside, its component must be looked for
	Content                // the content of the directory's own object
)

// Ref is what a name says of a key.
type Ref struct {
	Kind      Kind
	Component string // for Plain and Beside
	Head      string // for Long and LongBeside: the component begins with these bytes
	name      string
}

// Name is the name of a component, as a directory or as a file with no directory beside it.
func (p Place) Name(component string) string {
	if n, ok := p.asBytes(component); ok {
		return n
	}
	if p.strange(component) {
		return shorten(keyForm, longForm, component)
	}
	return component
}

// Beside is the name of the file at a component where a directory is, too.
func (p Place) Beside(component string) string { return shorten(fileForm, longFileForm, component) }

// Parse is the inverse of Name and Beside. The error is ErrTooLong or ErrInvalid.
func (p Place) Parse(name string) (Ref, error) {
	switch {
	case len(name) > MaxName:
		return Ref{}, fmt.Errorf("%.20q... (%d bytes): %w", name, len(name), ErrTooLong)
	case !legal(name):
		return Ref{}, fmt.Errorf("%q: %w", name, ErrInvalid)
	}
	if ref, ok := p.reserved(name); ok {
		return ref, nil
	}
	if _, ok := p.asBytes(name); ok || !p.plain(name) {
		return Ref{Component: bytesForm + escape(name), name: name}, nil
	}
	return Ref{Component: name, name: name}, nil
}

// Matches says whether component is the one that a Long or LongBeside name means.
func (p Place) Matches(r Ref, component string) bool {
	if r.Kind == LongBeside {
		return p.Beside(component) == r.name
	}
	return p.Name(component) == r.name
}

// legal says whether the kernel may use s as a name.
func legal(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= MaxName && strings.IndexByte(s, 0) < 0 && strings.IndexByte(s, '/') < 0
}

// plain says whether s may be both a name and a component.
func (p Place) plain(s string) bool {
	return legal(s) && utf8.ValidString(s) && !(p.top && s[0] == '\\')
}

// strange says whether a component, known not to be in bytes form, is shown in key form: set S of the proof.
func (p Place) strange(c string) bool {
	if !p.plain(c) {
		return true
	}
	_, ok := p.reserved(c)
	return ok
}

// reserved reads the names of set R.
func (p Place) reserved(name string) (Ref, bool) {
	if !strings.HasPrefix(name, prefix) || !utf8.ValidString(name) {
		return Ref{}, false
	}
	if name == ContentName {
		return Ref{Kind: Content, name: name}, true
	}
	if payload, ok := strings.CutPrefix(name, keyForm); ok {
		c, ok := unescape(payload)
		if !ok {
			return Ref{}, false
		}
		if _, is := p.asBytes(c); is || !p.strange(c) {
			return Ref{}, false
		}
		return Ref{Kind: Plain, Component: c, name: name}, true
	}
	if payload, ok := strings.CutPrefix(name, fileForm); ok {
		c, ok := unescape(payload)
		return Ref{Kind: Beside, Component: c, name: name}, ok && c != ""
	}
	if head, ok := longHead(name, longForm); ok {
		return Ref{Kind: Long, Head: head, name: name}, true
	}
	if head, ok := longHead(name, longFileForm); ok {
		return Ref{Kind: LongBeside, Head: head, name: name}, true
	}
	return Ref{}, false
}

// asBytes reads the components of set B: it returns the name that such a component stands for.
func (p Place) asBytes(c string) (string, bool) {
	payload, ok := strings.CutPrefix(c, bytesForm)
	if !ok {
		return "", false
	}
	n, ok := unescape(payload)
	if !ok || !legal(n) {
		return "", false
	}
	if _, is := p.reserved(n); is {
		return "", false
	}
	if _, is := p.asBytes(n); !is && p.plain(n) {
		return "", false
	}
	return n, true
}
