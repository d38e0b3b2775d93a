package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	listSize  = 100
	smallSize = 4 << 10
	partSize  = 128 << 10 // parts but the last have 100 KiB at least
)

// open gets the client that the other checks use, and compares regions.
func (e *examination) open(ctx context.Context) bool {
	start := time.Now()
	c := Check{Name: "bucket", Outcome: OK}
	var err error
	if e.bucket, err = ossclient.Open(ctx, e.Config); err != nil {
		c.Outcome = Fail
		c.Found, c.Cure = diagnose(err, e.Config, e.probe.Endpoint())
		e.add(c, start)
		return false
	}
	info, err := e.bucket.Info(ctx)
	var refused *ossclient.Error
	if errors.As(err, &refused) && wrongRegion(refused) { // a signature that needs no region may be told where the bucket lies
		if there, err2 := e.probe.Info(ctx); err2 == nil {
			info, err, refused = there, nil, nil
		}
	}
	switch {
	case err == nil:
		c.Found = fmt.Sprintf("region %s, class %s", info.Region, info.StorageClass)
		if info.Versioning == "Enabled" {
			c.Found += ", versioning on"
		}
		if have := e.bucket.Region(); have != "" && info.Region != "" && have != info.Region {
			c.Outcome = Fail
			c.Found = fmt.Sprintf("the bucket lies in the region %s, and %s is asked", info.Region, have)
			c.Cure = "--region " + info.Region
		} else if strings.Contains(info.StorageClass, "Archive") {
			c.Outcome, c.Cure = Warn, "objects of this class must be restored before they can be read"
		}
	case errors.As(err, &refused) && refused.Code == "AccessDenied" && !wrongRegion(refused):
		c.Found = "region " + orUnknown(e.bucket.Region()) + "; these credentials may not ask for more, which is no harm"
	default:
		c.Outcome = Fail
		c.Found, c.Cure = diagnose(err, e.Config, e.probe.Endpoint())
	}
	e.add(c, start)
	return c.Outcome != Fail
}

func orUnknown(region string) string {
	if region == "" {
		return "unknown"
	}
	return region
}

// list asks for the first keys of the prefix, as every mount does.
func (e *examination) list(ctx context.Context) bool {
	start := time.Now()
	c := Check{Name: "list", Outcome: OK}
	page, err := e.bucket.List(ctx, ossclient.ListRequest{Prefix: e.Prefix, MaxKeys: listSize})
	if err != nil {
		c.Outcome = Fail
		c.Found, c.Cure = e.denied(err, "oss:ListObjects")
		e.add(c, start)
		return false
	}
	e.listed = page.Objects
	switch {
	case len(page.Objects) == 0:
		c.Found = "allowed; there is nothing below " + e.report.Bucket
	case page.Next != "":
		c.Found = fmt.Sprintf("allowed; more than %d objects", len(page.Objects))
	default:
		c.Found = fmt.Sprintf("allowed; %d objects", len(page.Objects))
	}
	e.add(c, start)
	return true
}

// stepError is the failure of one step of a check that has several.
type stepError struct {
	step   string // what was tried, as in "sending a part"
	action string // the RAM action that it needs
	err    error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// denied is diagnose, with the RAM action that is missing.
func (e *examination) denied(err error, action string) (found, cure string) {
	step := ""
	var one *stepError
	if errors.As(err, &one) {
		step, action, err = one.step+": ", one.action, one.err
	}
	found, cure = diagnose(err, e.Config, e.bucket.Endpoint())
	found = step + found
	if cure == "" && errors.Is(err, ossclient.ErrPermission) {
		cure = fmt.Sprintf("grant %s on %s*", action, strings.TrimPrefix(e.report.Bucket, "oss://"))
	}
	return found, cure
}

// permissions tries what a mount does. It goes on after a failure: each permission is its own.
func (e *examination) permissions(ctx context.Context) bool {
	if e.ReadOnly {
		e.readOnly(ctx)
		return true
	}
	e.name = e.Prefix + ossclient.Key(".ossfs-doctor-"+strings.ToLower(rand.Text()[:16]))
	wrote := e.try("put", "oss:PutObject", func() (string, error) { return e.put(ctx) })
	if wrote {
		e.try("get", "oss:GetObject", func() (string, error) { return e.get(ctx) })
		e.try("copy", "oss:GetObject and oss:PutObject", func() (string, error) { return e.copy(ctx) })
		e.try("multipart", "oss:PutObject, oss:ListParts and oss:AbortMultipartUpload", func() (string, error) { return e.multipart(ctx) })
		e.try("delete", "oss:DeleteObject", func() (string, error) { return e.remove(ctx) })
		return true
	}
	for _, name := range []string{"copy", "multipart", "delete"} {
		e.add(Check{Name: name, Outcome: Skip, Found: "pointless without put"}, time.Now())
	}
	e.readOnly(ctx)
	return true
}

// readOnly reads a byte of what is there.
func (e *examination) readOnly(ctx context.Context) {
	for _, o := range e.listed {
		if o.Size == 0 || o.Type == ossclient.Symlink || frozen(o) {
			continue
		}
		e.try("get", "oss:GetObject", func() (string, error) {
			return "allowed", e.read(ctx, o.Key, 1, nil)
		})
		return
	}
	e.add(Check{Name: "get", Outcome: Skip, Found: "there is no object to read"}, time.Now())
}

func (e *examination) try(name, action string, do func() (string, error)) bool {
	start := time.Now()
	c := Check{Name: name, Outcome: OK}
	var err error
	if c.Found, err = do(); err != nil {
		c.Outcome = Fail
		c.Found, c.Cure = e.denied(err, action)
		if name == "put" && errors.Is(err, ossclient.ErrPermission) {
			c.Cure += "; for a mount that only reads: --read-only"
		}
	}
	e.add(c, start)
	return err == nil
}

// frozen reports whether an object must be restored before it can be read.
func frozen(o ossclient.Object) bool { return strings.Contains(o.StorageClass, "Archive") }

func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.Read(p) // never fails
	return p
}

func random(n int) *bytes.Reader { return bytes.NewReader(randomBytes(n)) }

func (e *examination) put(ctx context.Context) (string, error) {
	e.leftover[e.name] = true
	meta := ossclient.Metadata{User: map[string]string{"ossfs-doctor": "remove-me"}}
	if _, err := e.bucket.Put(ctx, ossclient.PutRequest{Key: e.name, Body: random(smallSize), Size: smallSize, Metadata: meta, NoOverwrite: true}); err != nil {
		return "", err
	}
	return "allowed", nil
}

func (e *examination) get(ctx context.Context) (string, error) {
	o, err := e.bucket.Head(ctx, e.name)
	if err != nil {
		return "", err
	}
	if o.Metadata.User["ossfs-doctor"] != "remove-me" {
		return "", errors.New("the metadata that was stored did not come back: something between here and OSS removes headers")
	}
	return "allowed, metadata included", e.read(ctx, e.name, -1, nil)
}

// read reads an object, or its first bytes, and tells counted of each piece.
func (e *examination) read(ctx context.Context, key ossclient.Key, length int64, counted func(int)) error {
	body, err := e.bucket.Get(ctx, ossclient.GetRequest{Key: key, Length: length})
	if err != nil {
		return err
	}
	defer body.Close()
	if counted == nil {
		counted = func(int) {}
	}
	_, err = io.Copy(writer(counted), body)
	return err
}

// writer counts what it is given.
type writer func(int)

func (w writer) Write(p []byte) (int, error) {
	w(len(p))
	return len(p), nil
}

func (e *examination) copy(ctx context.Context) (string, error) {
	to := e.name + "-copy"
	e.leftover[to] = true
	_, err := e.bucket.Copy(ctx, ossclient.CopyRequest{Source: ossclient.Version{Key: e.name, Size: smallSize}, Key: to, NoOverwrite: true})
	return "allowed, which renaming needs", err
}

func (e *examination) multipart(ctx context.Context) (string, error) {
	key := e.name + "-parts"
	e.leftover[key] = true
	id, err := e.begin(ctx, key)
	if err != nil {
		return "", err
	}
	part, err := e.bucket.UploadPart(ctx, ossclient.PartRequest{Key: key, Upload: id, Number: 1, Body: random(partSize), Size: partSize})
	if err != nil {
		return "", &stepError{"sending a part", "oss:PutObject", err}
	}
	if _, err := e.bucket.ListParts(ctx, key, id); err != nil {
		return "", &stepError{"listing the parts", "oss:ListParts", err}
	}
	if _, err := e.bucket.CompleteUpload(ctx, ossclient.CompleteRequest{Key: key, Upload: id, Parts: []ossclient.Part{part}}); err != nil {
		return "", &stepError{"completing", "oss:PutObject", err}
	}
	delete(e.uploads, id)
	if id, err = e.begin(ctx, key); err != nil {
		return "", err
	}
	if err := e.bucket.AbortUpload(ctx, key, id); err != nil {
		return "", &stepError{"aborting", "oss:AbortMultipartUpload", err}
	}
	delete(e.uploads, id)
	return "allowed: begin, send, list, complete, abort", nil
}

func (e *examination) begin(ctx context.Context, key ossclient.Key) (ossclient.UploadID, error) {
	id, err := e.bucket.CreateUpload(ctx, ossclient.UploadRequest{Key: key})
	if err != nil {
		return "", &stepError{"beginning", "oss:PutObject", err}
	}
	e.uploads[id] = key
	return id, nil
}

func (e *examination) remove(ctx context.Context) (string, error) {
	key := e.name + "-copy"
	if err := e.bucket.Delete(ctx, key); err != nil {
		return "", err
	}
	delete(e.leftover, key)
	return "allowed", nil
}

// cleanup removes what was written, also when ctx has ended. It looks whether anything is left: a put
// that was given up may still have been stored.
func (e *examination) cleanup(ctx context.Context) {
	if e.bucket == nil || len(e.leftover)+len(e.uploads) == 0 {
		return
	}
	start := time.Now()
	left := e.Limit - time.Since(e.start) - cleanupTime/10 // the report is to be there at the limit
	ctx, cancel := e.within(context.WithoutCancel(ctx), max(left, cleanupTime/2))
	defer cancel()
	var failed []string
	for id, key := range e.uploads {
		err := e.bucket.AbortUpload(ctx, key, id)
		if err == nil { // once more: a part that was just arriving keeps an upload alive
			err = e.bucket.AbortUpload(ctx, key, id)
		}
		if err != nil && !errors.Is(err, ossclient.ErrNotExist) {
			failed = append(failed, fmt.Sprintf("the upload %s of %s", id, key))
		}
	}
	keys := slices.Collect(maps.Keys(e.leftover))
	for range 2 {
		if err := e.bucket.DeleteMany(ctx, keys); err != nil {
			break // what is left is listed below
		}
		page, err := e.bucket.List(ctx, ossclient.ListRequest{Prefix: e.name, MaxKeys: 1000})
		if err == nil && len(page.Objects) == 0 {
			keys = nil
			break
		}
		if err == nil {
			keys = keys[:0]
			for _, o := range page.Objects {
				keys = append(keys, o.Key)
			}
		}
	}
	if e.wrote() && len(keys) > 0 {
		failed = append(failed, fmt.Sprintf("%d objects below %s", len(keys), e.name))
	}
	if len(failed) > 0 {
		e.add(Check{Name: "clean-up", Outcome: Warn, Found: "could not remove " + strings.Join(failed, ", "), Cure: "remove it by hand"}, start)
	}
}

// wrote reports whether anything can be left: no put or part succeeded where put is not allowed.
func (e *examination) wrote() bool {
	for _, c := range e.report.Checks {
		if c.Name == "put" && c.Outcome == OK {
			return true
		}
	}
	return false
}
