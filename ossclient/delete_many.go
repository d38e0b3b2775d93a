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
	op := opDeleteMany()
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) > maxDeleteMany:
		return b.invalid(op, "", "one DeleteMultipleObjects takes at most 1,000 keys")
	}
	var doc bytes.Buffer
	doc.WriteString("<Delete><Quiet>true</Quiet>")
	for _, key := range keys {
		if err := b.checkKey(op, key); err != nil {
			return err
		}
		if !xmlSafe(string(key)) {
			// XML 1.0 has no form for it: such a key is deleted by itself.
			return b.deleteEach(ctx, keys)
		}
		doc.WriteString("<Object><Key>")
		if err := xml.EscapeText(&doc, []byte(key)); err != nil {
			return b.invalid(op, key, err.Error())
		}
		doc.WriteString("</Key></Object>")
	}
	doc.WriteString("</Delete>")
	sum := md5.Sum(doc.Bytes())
	h := http.Header{
		headerContentMD5:  {base64.StdEncoding.EncodeToString(sum[:])},
		headerContentType: {"application/xml"},
	}
	body := content{reader: bytes.NewReader(doc.Bytes()), size: int64(doc.Len())}
	_, err := b.do(ctx, &request{op: op, params: []param{{"delete", ""}}, header: h, body: body, accept: acceptAnything})
	return err
}

// deleteEach removes keys one by one.
func (b *Bucket) deleteEach(ctx context.Context, keys []Key) error {
	for _, key := range keys {
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
