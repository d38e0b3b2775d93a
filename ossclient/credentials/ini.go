package credentials

import (
	"bytes"
	"strings"
)

// fields are the settings of a profile. Names are compared without case, "-" and "_", as ossutil's
// documentation allows (accessKeyId, access-key-id, access_key_id); no other format minds.
type fields struct{ values func() map[string]string }

func newFields() fields {
	values := map[string]string{}
	return fields{func() map[string]string { return values }} // a function: see sealed
}

func fieldName(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(strings.TrimSpace(name)))
}

func (f fields) set(name, value string) { f.values()[fieldName(name)] = value }

// get returns the first of the names that is set to something.
func (f fields) get(names ...string) string {
	for _, name := range names {
		if v := f.values()[fieldName(name)]; v != "" {
			return v
		}
	}
	return ""
}

type section struct {
	name   string
	fields fields
}

// parseINI reads what the INI files of the Alibaba tools have in common: [sections], name = value,
// comments of whole lines (# or ;) and after a value (a blank and #), quotes around a value. What is
// none of these is skipped, so that one odd line does not lock a user out.
func parseINI(data []byte) []section {
	sections := []section{{fields: newFields()}} // what stands before the first header
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		text := strings.TrimSpace(string(line))
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[':
			if end := strings.IndexByte(text, ']'); end > 0 {
				sections = append(sections, section{strings.TrimSpace(text[1:end]), newFields()})
			}
		default:
			if name, value, ok := strings.Cut(text, "="); ok {
				sections[len(sections)-1].fields.set(name, iniValue(value))
			}
		}
	}
	return sections
}

func iniValue(raw string) string {
	v := strings.TrimSpace(raw)
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') {
		if end := strings.IndexByte(v[1:], v[0]); end >= 0 {
			return v[1 : 1+end]
		}
	}
	for i := 0; i < len(v); i++ {
		if (v[i] == '#' || v[i] == ';') && (i == 0 || v[i-1] == ' ' || v[i-1] == '\t') {
			return strings.TrimSpace(v[:i])
		}
	}
	return v
}

// findSection looks for [name] or [profile name]: as it is written, then without regard to case.
func findSection(sections []section, name string) (fields, bool) {
	same := []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold}
	for _, equal := range same {
		for _, s := range sections {
			bare := s.name
			if first, rest, ok := strings.Cut(s.name, " "); ok && strings.EqualFold(first, "profile") {
				bare = strings.TrimSpace(rest)
			}
			if s.name != "" && (equal(s.name, name) || equal(bare, name)) {
				return s.fields, true
			}
		}
	}
	return fields{}, false
}
