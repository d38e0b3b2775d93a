package ossclient

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const headerSymlinkTarget = "X-Oss-Symlink-Target"

// PutSymlink makes a symbolic link of OSS's own kind to another key of the bucket (PutSymlink).
func (b *Bucket) PutSymlink(ctx context.Context, key, target Key, m Metadata) error {
	op := opPutSymlink
	if err := b.checkKey(op, key); err != nil {
		return err
	}
	if err := b.checkKey(op, target); err != nil {
		return err
	}
	h := make(http.Header, 16)
	if err := setMetadata(h, m); err != nil {
		return b.invalid(op, key, err.Error())
	}
	h[headerSymlinkTarget] = []string{escapeQuery(string(target))}
	_, err := b.do(ctx, &request{op: op, key: key, params: []param{{"symlink", ""}}, header: h, accept: acceptAnything})
	return err
}

// GetSymlink reads where a symbolic link of OSS's own kind leads, and the link's own description
// (GetSymlink). ErrUnsupported: the object is no such link.
func (b *Bucket) GetSymlink(ctx context.Context, key Key) (string, Object, error) {
	op := opGetSymlink
	if err := b.checkKey(op, key); err != nil {
		return "", Object{}, err
	}
	var target string
	var o Object
	_, err := b.do(ctx, &request{op: op, key: key, params: []param{{"symlink", ""}}, accept: func(a *answer) error {
		var err error
		if target, err = url.PathUnescape(a.header.Get(headerSymlinkTarget)); err != nil {
			return &badAnswer{err}
		}
		o = objectOf(key, 0, a.header)
		o.Type = Symlink
		return nil
	}})
	return target, o, err
}

// Restore asks for an archived object to be made readable for some days (RestoreObject). It succeeds
// when that is already under way or done.
func (b *Bucket) Restore(ctx context.Context, key Key, days int) error {
	op := opRestore
	if err := b.checkKey(op, key); err != nil {
		return err
	}
	if days < 1 || days > 365 {
		return b.invalid(op, key, "an object is restored for 1 to 365 days")
	}
	doc, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"RestoreRequest"`
		Days    int
	}{Days: days})
	if err != nil {
		return b.invalid(op, key, err.Error())
	}
	r := &request{op: op, key: key, params: []param{{"restore", ""}}, header: http.Header{headerContentType: {"application/xml"}}, accept: acceptAnything}
	r.body = content{reader: bytes.NewReader(doc), size: int64(len(doc))}
	_, err = b.do(ctx, r)
	if isCode(err, "RestoreAlreadyInProgress") {
		return nil
	}
	return err
}

// SignURL makes a URL with which anybody can GET the object until ttl has passed. It is a secret.
func (b *Bucket) SignURL(key Key, ttl time.Duration) (string, error) {
	op := opSignURL
	if err := b.checkKey(op, key); err != nil {
		return "", err
	}
	if ttl < time.Second {
		return "", b.invalid(op, key, "a signed URL lives for at least a second, got "+strconv.FormatFloat(ttl.Seconds(), 'g', -1, 64)+"s")
	}
	ctx, cancel := context.WithTimeout(context.Background(), quickAnswer)
	defer cancel()
	cred, f := b.credential(ctx, &request{op: op, key: key})
	if f != nil {
		return "", f.err
	}
	query := ""
	if cred.ID != "" {
		s := &signing{method: op.method(), bucket: b.cfg.Bucket, key: string(key), header: http.Header{}, cred: cred, now: b.now()}
		query = "?" + encodeParams(b.signer.presign(s, ttl))
	}
	return b.Endpoint() + b.target.prefix + "/" + escapePath(string(key)) + query, nil
}
