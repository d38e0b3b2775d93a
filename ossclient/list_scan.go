package ossclient

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxDepth bounds how deep elements may be nested in a listing.
const maxDepth = 16

var errListing = errors.New("listing is not well-formed XML")

// scanner walks over the elements of a document in one pass, without a tree and without copying.
type scanner struct {
	doc []byte
	pos int
}

// token is a start tag, an end tag or nothing more. text is what stood before it.
type token struct {
	name  []byte
	text  []byte
	end   bool
	empty bool // <name/>
}

// next finds the next tag; declarations, comments and attributes are passed over.
func (s *scanner) next() (token, error) {
	begin := s.pos
	for {
		i := bytes.IndexByte(s.doc[s.pos:], '<')
		if i < 0 {
			return token{}, errListing
		}
		text := s.doc[begin : s.pos+i]
		s.pos += i + 1
		rest := s.doc[s.pos:]
		switch {
		case len(rest) == 0:
			return token{}, errListing
		case rest[0] == '?':
			if !s.skip("?>") {
				return token{}, errListing
			}
			begin = s.pos
			continue
		case bytes.HasPrefix(rest, []byte("!--")):
			if !s.skip("-->") {
				return token{}, errListing
			}
			begin = s.pos
			continue
		case rest[0] == '!':
			return token{}, errListing // neither CDATA nor a DOCTYPE belongs into a listing
		}
		j := bytes.IndexByte(rest, '>')
		if j <= 0 {
			return token{}, errListing
		}
		s.pos += j + 1
		return tag(rest[:j], text)
	}
}

func (s *scanner) skip(until string) bool {
	i := bytes.Index(s.doc[s.pos:], []byte(until))
	if i < 0 {
		return false
	}
	s.pos += i + len(until)
	return true
}

func tag(inner, text []byte) (token, error) {
	t := token{text: text}
	if inner[0] == '/' {
		t.end, inner = true, inner[1:]
	} else if inner[len(inner)-1] == '/' {
		t.empty, inner = true, inner[:len(inner)-1]
	}
	for i, c := range inner {
		if c <= ' ' { // attributes follow
			inner = inner[:i]
			break
		}
	}
	if len(inner) == 0 {
		return token{}, errListing
	}
	t.name = inner
	return t, nil
}

// open finds the next tag where one is expected at once, as OSS writes its documents: a start tag
// without attributes. Anything else is left to next.
func (s *scanner) open() (name []byte, ok bool) {
	rest := s.doc[s.pos:]
	if len(rest) < 3 || rest[0] != '<' || rest[1] < 'A' {
		return nil, false
	}
	for i := 1; i < len(rest) && i < 40; i++ {
		switch c := rest[i]; {
		case c == '>':
			if rest[i-1] == '/' {
				return nil, false
			}
			s.pos += i + 1
			return rest[1:i], true
		case c <= ' ':
			return nil, false
		}
	}
	return nil, false
}

// text reads up to the end tag of an element without children.
func (s *scanner) text(name []byte) ([]byte, bool) {
	rest := s.doc[s.pos:]
	i := bytes.IndexByte(rest, '<')
	if end := i + 2 + len(name); i >= 0 && end < len(rest) && rest[i+1] == '/' && rest[end] == '>' && string(rest[i+2:end]) == string(name) {
		s.pos += end + 1
		return rest[:i], true
	}
	return nil, false
}

// pageScan builds a Page of a document. Its strings share one allocation for the whole page.
type pageScan struct {
	scanner
	page    Page
	arena   []byte // decoded strings, one after the other
	marks   []mark // where in the arena each string belongs
	escaped bool   // EncodingType is url
	next    mark   // the continuation token
}

// mark is a piece of the arena.
type mark struct{ from, to int }

// scanPage reads a ListBucketResult.
func scanPage(doc []byte) (Page, error) {
	p := &pageScan{scanner: scanner{doc: doc}, escaped: bytes.Contains(doc[:min(len(doc), 4<<10)], []byte("<EncodingType>url<"))}
	t, err := p.scanner.next()
	if err != nil {
		return Page{}, err
	}
	if string(t.name) != "ListBucketResult" || t.end {
		return Page{}, fmt.Errorf("listing begins with <%s>", safeText(t.name))
	}
	if t.empty {
		return Page{}, nil
	}
	if !p.escaped { // it may come after the first 4 KiB, with a long prefix
		p.escaped = bytes.Contains(doc, []byte("<EncodingType>url</EncodingType>"))
	}
	n := bytes.Count(doc, []byte("<Contents>"))
	p.page.Objects = make([]Object, 0, n)
	p.marks = make([]mark, 0, 2*n)
	p.arena = make([]byte, 0, len(doc)/3)
	if err := p.top(); err != nil {
		return Page{}, err
	}
	p.hand()
	return p.page, nil
}

// top reads the children of the root.
func (p *pageScan) top() error {
	truncated := false
	for {
		t, err := p.scanner.next()
		switch {
		case err != nil:
			return err
		case t.end:
			if string(t.name) != "ListBucketResult" {
				return errListing
			}
			if truncated && p.next.to == p.next.from {
				return errors.New("listing is truncated and has no continuation token")
			}
			if !truncated {
				p.next = mark{}
			}
			return nil
		case t.empty:
			continue
		}
		switch string(t.name) {
		case "Contents":
			err = p.contents()
		case "CommonPrefixes":
			err = p.prefixes()
		case "IsTruncated":
			var v []byte
			v, err = p.leaf(t.name)
			truncated = string(v) == "true"
		case "NextContinuationToken":
			var v []byte
			if v, err = p.leaf(t.name); err == nil {
				p.next, err = p.store(v, false)
			}
		default:
			err = p.pass(t.name)
		}
		if err != nil {
			return err
		}
	}
}

// leaf reads the text of an element without children.
func (p *pageScan) leaf(name []byte) ([]byte, error) {
	if v, ok := p.text(name); ok {
		return v, nil
	}
	t, err := p.scanner.next()
	if err != nil {
		return nil, err
	}
	if !t.end || !bytes.Equal(t.name, name) {
		return nil, errListing
	}
	return t.text, nil
}

// pass skips an element that is of no use here, with its children.
func (p *pageScan) pass(name []byte) error {
	for depth := 1; depth > 0; {
		t, err := p.scanner.next()
		switch {
		case err != nil:
			return err
		case t.end:
			if depth--; depth == 0 && !bytes.Equal(t.name, name) {
				return errListing
			}
		case !t.empty:
			if depth++; depth > maxDepth {
				return errListing
			}
		}
	}
	return nil
}

// contents reads one object.
func (p *pageScan) contents() error {
	p.page.Objects = append(p.page.Objects, Object{})
	o := &p.page.Objects[len(p.page.Objects)-1]
	var key, etag mark
	for {
		var t token
		var err error
		if name, ok := p.open(); ok {
			t.name = name
		} else {
			t, err = p.scanner.next()
		}
		switch {
		case err != nil:
			return err
		case t.end:
			if string(t.name) != "Contents" || key.to == key.from {
				return errListing
			}
			p.marks = append(p.marks, key, etag)
			return nil
		case t.empty:
			continue
		case string(t.name) == "Owner":
			if err := p.pass(t.name); err != nil {
				return err
			}
			continue
		}
		v, err := p.leaf(t.name)
		if err != nil {
			return err
		}
		switch string(t.name) {
		case "Key":
			key, err = p.store(v, p.escaped)
		case "ETag":
			etag, err = p.storeETag(v)
		default:
			err = setListed(o, t.name, v)
		}
		if err != nil {
			return err
		}
	}
}

// setListed fills a field whose value needs no memory of its own.
func setListed(o *Object, name, v []byte) (err error) {
	switch string(name) {
	case "Size":
		o.Size, err = parseSize(v)
	case "LastModified":
		o.LastModified, err = parseListedTime(v)
	case "Type":
		o.Type = ObjectType(intern(v))
	case "StorageClass":
		o.StorageClass = intern(v)
	case "RestoreInfo":
		o.Restore = string(v)
	}
	return err
}

// prefixes reads one CommonPrefixes; it may hold several Prefix elements.
func (p *pageScan) prefixes() error {
	for {
		t, err := p.scanner.next()
		switch {
		case err != nil:
			return err
		case t.end:
			if string(t.name) != "CommonPrefixes" {
				return errListing
			}
			return nil
		case t.empty:
			continue
		}
		v, err := p.leaf(t.name)
		if err != nil {
			return err
		}
		if string(t.name) != "Prefix" {
			continue
		}
		m, err := p.store(v, p.escaped)
		if err != nil {
			return err
		}
		p.page.Prefixes = append(p.page.Prefixes, Key(p.arena[m.from:m.to]))
	}
}

// store decodes text into the arena.
func (p *pageScan) store(v []byte, escaped bool) (mark, error) {
	from := len(p.arena)
	var err error
	if bytes.IndexByte(v, '&') >= 0 {
		if v, err = unescapeXML(v); err != nil {
			return mark{}, err
		}
	}
	if !escaped {
		p.arena = append(p.arena, v...)
	} else if p.arena, err = appendUnescaped(p.arena, v); err != nil {
		return mark{}, err
	}
	return mark{from, len(p.arena)}, nil
}

// storeETag takes off the quotes, which are written as they are or as &quot;.
func (p *pageScan) storeETag(v []byte) (mark, error) {
	m, err := p.store(v, false)
	if err == nil && m.to-m.from >= 2 && p.arena[m.from] == '"' && p.arena[m.to-1] == '"' {
		m.from, m.to = m.from+1, m.to-1
	}
	return m, err
}

// hand turns the arena into one string and cuts the objects' keys and ETags of it.
func (p *pageScan) hand() {
	all := string(p.arena)
	for i := range p.page.Objects {
		k, e := p.marks[2*i], p.marks[2*i+1]
		p.page.Objects[i].Key = Key(all[k.from:k.to])
		p.page.Objects[i].ETag = ETag(all[e.from:e.to])
	}
	p.page.Next = all[p.next.from:p.next.to]
}

// appendUnescaped undoes encoding-type=url: %XX, and + for a space.
func appendUnescaped(dst, v []byte) ([]byte, error) {
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(v) {
				return dst, errListing
			}
			hi, ok1 := unhex(v[i+1])
			lo, ok2 := unhex(v[i+2])
			if !ok1 || !ok2 {
				return dst, errListing
			}
			c = hi<<4 | lo
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// unescapeXML decodes the five named entities and numeric ones.
func unescapeXML(v []byte) ([]byte, error) {
	out := make([]byte, 0, len(v))
	for {
		i := bytes.IndexByte(v, '&')
		if i < 0 {
			return append(out, v...), nil
		}
		out, v = append(out, v[:i]...), v[i+1:]
		j := bytes.IndexByte(v[:min(len(v), 12)], ';')
		if j <= 0 {
			return nil, errListing
		}
		switch name := string(v[:j]); name {
		case "amp":
			out = append(out, '&')
		case "lt":
			out = append(out, '<')
		case "gt":
			out = append(out, '>')
		case "quot":
			out = append(out, '"')
		case "apos":
			out = append(out, '\'')
		default:
			r, err := numericEntity(name)
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		}
		v = v[j+1:]
	}
}

func numericEntity(name string) (rune, error) {
	if len(name) < 2 || name[0] != '#' {
		return 0, errListing
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, errListing
	}
	return rune(n), nil
}

func parseSize(v []byte) (int64, error) {
	var n int64
	if len(v) == 0 || len(v) > 18 {
		return 0, errListing
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, errListing
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// parseListedTime reads 2026-01-02T15:04:05.000Z.
func parseListedTime(v []byte) (time.Time, error) {
	if len(v) < 20 || v[4] != '-' || v[7] != '-' || v[10] != 'T' || v[13] != ':' || v[16] != ':' || v[len(v)-1] != 'Z' {
		return time.Time{}, errListing
	}
	num := func(from, to int) int {
		n, err := parseSize(v[from:to])
		if err != nil {
			return -1
		}
		return int(n)
	}
	year, month, day, hour, minute, second := num(0, 4), num(5, 7), num(8, 10), num(11, 13), num(14, 16), num(17, 19)
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return time.Time{}, errListing
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), nil
}

// intern spares an allocation for the words that every object has.
func intern(v []byte) string {
	switch string(v) {
	case string(Normal):
		return string(Normal)
	case string(Multipart):
		return string(Multipart)
	case string(Appendable):
		return string(Appendable)
	case string(Symlink):
		return string(Symlink)
	case "Standard":
		return "Standard"
	case "IA":
		return "IA"
	case "Archive":
		return "Archive"
	case "ColdArchive":
		return "ColdArchive"
	case "DeepColdArchive":
		return "DeepColdArchive"
	}
	return string(v)
}

// safeText makes a few bytes of a stranger's document fit for a message.
func safeText(v []byte) string { return strconv.Quote(string(v[:min(len(v), 40)])) }
