package ossserver

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ossfs/ossfs/internal/ossserver/sign"
)

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"bytes=0-9", "bytes=-5", "bytes=5-", "bytes=1-2,3-4", "x", "bytes=9223372036854775807-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, ok := parseRange(s)
		if ok && (first < 0 && last < 0 || first >= 0 && last >= 0 && first > last) {
			t.Errorf("parseRange(%q) = %d, %d", s, first, last)
		}
	})
}

// FuzzScanXML compares the scanner with encoding/xml wherever that understands the document.
func FuzzScanXML(f *testing.F) {
	f.Add("<Delete><Quiet>true</Quiet><Object><Key>a&amp;b&#65;</Key></Object></Delete>")
	f.Add("<a><b/><!-- <c> --><b x='1'>t</b></a>")
	f.Add("<?xml version='1.0'?><Delete></Delete>")
	f.Fuzz(func(t *testing.T, doc string) {
		keys, _, ok := parseDelete(doc)
		var want struct {
			XMLName xml.Name `xml:"Delete"`
			Object  []struct{ Key string }
		}
		if xml.Unmarshal([]byte(doc), &want) != nil || !ok || len(keys) != len(want.Object) {
			return // the two are strict in different ways
		}
		if strings.ContainsAny(doc, "\r:!?'\"=") {
			return // line ends, name spaces, comments and attributes are beyond the scanner
		}
		for i, o := range want.Object {
			if len(o.Key) != 0 && o.Key != keys[i] {
				t.Errorf("%q: key %q, encoding/xml says %q", doc, keys[i], o.Key)
			}
		}
	})
}

func FuzzEscapeXML(f *testing.F) {
	f.Add("a&b<c>\x01'\"é\xff\n\r")
	f.Fuzz(func(t *testing.T, s string) {
		var x xmlWriter
		x.text("K", s)
		var got string
		if !scanXML(string(x.buf), nil, func(_, text string) { got = text }) {
			t.Fatalf("%q is malformed", x.buf)
		}
		if utf8.ValidString(s) && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// FuzzRequest sends whatever there is to the handler: it may refuse, but neither panic nor answer 500.
func FuzzRequest(f *testing.F) {
	s, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.CreateBucket("pub"); err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "/pub/?list-type=2&prefix=%41&max-keys=1", "Range", "bytes=0-1", "")
	f.Add("PUT", "/pub/k?partNumber=1&uploadId=x", "X-Oss-Copy-Source", "/pub/k", "b")
	f.Add("POST", "/pub/?delete", "Content-Md5", "x", "<Delete/>")
	f.Add("GET", "/pub/k", "Authorization", "OSS4-HMAC-SHA256 Credential=a/20260101/r/oss/aliyun_v4_request,Signature=x", "")
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		if method == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n#") || strings.ContainsAny(method, " \r\n/") {
			return
		}
		r, err := http.NewRequest(method, "http://localhost/", strings.NewReader(body))
		if err != nil {
			return
		}
		r.RequestURI = target
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		w := httptest.NewRecorder()
		c := &call{server: s, w: w, conn: w, r: r, id: "ID"}
		c.parse()
		c.route()
		for _, signed := range []bool{false, true} {
			c.signed = signed
			if c.op.do == nil || c.checkNames() != nil || c.authorize() != nil {
				continue
			}
			if err := c.op.do(c); err != nil && asFailure(err).status == http.StatusInternalServerError && err != errAbandoned {
				t.Errorf("%s %s: %v", method, target, err)
			}
		}
		_, _ = s.sign.Verify(&sign.Request{Method: method, Bucket: c.bucket, Key: c.key, Query: c.query, Header: r.Header})
	})
}
