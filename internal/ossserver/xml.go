package ossserver

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/ossfs/ossfs/internal/ossserver/sign"
)

// xmlWriter writes documents by hand: encoding/xml costs a listing most of its time.
type xmlWriter struct {
	buf []byte
	url bool // keys are percent-encoded: encoding-type=url
}

func (x *xmlWriter) bytes() []byte { return x.buf }

func (x *xmlWriter) begin(name string) {
	if len(x.buf) == 0 {
		x.buf = append(x.buf, `<?xml version="1.0" encoding="UTF-8"?>`...)
		x.buf = append(x.buf, '\n')
	}
	x.buf = append(append(append(x.buf, '<'), name...), '>')
}

func (x *xmlWriter) end(name string) {
	x.buf = append(append(append(x.buf, "</"...), name...), '>')
}

// raw writes an element whose value needs no escaping.
func (x *xmlWriter) raw(name, value string) {
	x.begin(name)
	x.buf = append(x.buf, value...)
	x.end(name)
}

func (x *xmlWriter) text(name, value string) {
	x.begin(name)
	x.escape(value)
	x.end(name)
}

// key writes an element whose value is percent-encoded when the request asked for that.
func (x *xmlWriter) key(name, value string) {
	if x.url {
		value = sign.Escape(value, false)
	}
	x.text(name, value)
}

func (x *xmlWriter) number(name string, value int64) {
	x.begin(name)
	x.buf = strconv.AppendInt(x.buf, value, 10)
	x.end(name)
}

// escape writes text. What XML 1.0 cannot say at all becomes a character reference, as OSS does; a strict parser
// refuses that, which is why encoding-type=url exists.
func (x *xmlWriter) escape(s string) {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		width := 1
		var with string
		switch {
		case c == '&':
			with = "&amp;"
		case c == '<':
			with = "&lt;"
		case c == '>':
			with = "&gt;"
		case c == '"':
			with = "&quot;"
		case c == '\'':
			with = "&apos;"
		case c < 0x20 && c != '\n' && c != '\t' || c == 0x7f:
			with = "&#x" + strconv.FormatUint(uint64(c), 16) + ";"
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			width = n
			if r == utf8.RuneError && n == 1 {
				with = "\uFFFD"
			}
		}
		if with != "" {
			x.buf = append(append(x.buf, s[last:i]...), with...)
			last = i + width
		}
		i += width
	}
	x.buf = append(x.buf, s[last:]...)
}

// writeXML answers with a document.
func (c *call) writeXML(status int, x *xmlWriter) {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(len(x.buf))}
	c.writeHeader(status)
	if c.r.Method != http.MethodHead {
		c.write(x.buf)
	}
}
