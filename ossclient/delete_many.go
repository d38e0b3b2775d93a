package ossclient

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"net/http"
)

// maxDeleteMany is how many keys one DeleteMultipleObjects takes.
const maxDeleteMany = 1000

// DeleteMany removes up to 1,000 objects with one request (DeleteMultipleObjects). Keys that are not
// there are no error. When it fails, some may be gone: repeating it is right.
func (b *Bucket) DeleteMany(ctx context.Context, keys []Key) error {
	op := opDeleteMany
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) > maxDeleteMany:
		return b.invalid(op, "", "one DeleteMultipleObjects takes at most 1,000 keys")
	}
	var doc bytes.Buffer
	doc.WriteString("<Delete><Quiet>true</Quiet>")
	var single []Key // XML 1.0 has no form for these: they are deleted one by one
	for _, key := range keys {
		if err := b.checkKey(op, key); err != nil {
			return err
		}
		if !xmlSafe(string(key)) {
			single = append(single, key)
			continue
		}
		doc.WriteString("<Object><Key>")
		_ = xml.EscapeText(&doc, []byte(key)) // a bytes.Buffer never fails
		doc.WriteString("</Key></Object>")
	}
	doc.WriteString("</Delete>")
	if len(single) < len(keys) {
		sum := md5.Sum(doc.Bytes())
		h := http.Header{
			headerContentMD5:  {base64.StdEncoding.EncodeToString(sum[:])},
			headerContentType: {"application/xml"},
		}
		body := content{reader: bytes.NewReader(doc.Bytes()), size: int64(doc.Len())}
		if _, err := b.do(ctx, &request{op: op, params: []param{{"delete", ""}}, header: h, body: body, accept: acceptAnything}); err != nil {
			return err
		}
	}
	for _, key := range single {
		if err := b.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// xmlSafe reports whether an XML 1.0 document can hold s: valid UTF-8 and no control characters but
// tab; a carriage return or line feed would be changed by a parser that normalises ends of lines.
func xmlSafe(s string) bool {
	for _, r := range s {
		if r < 0x20 && r != '\t' || r == 0xFFFD || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}
