package ossserver

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// putSymlink is https://help.aliyun.com/en/oss/developer-reference/putsymlink: the target need not exist.
func (c *call) putSymlink() error {
	text := c.r.Header.Get("X-Oss-Symlink-Target")
	target, err := url.PathUnescape(text)
	if err != nil || !validKey(target) {
		return invalidArgument("x-oss-symlink-target", text, "The symlink target is invalid.")
	}
	o, err := c.template()
	if err != nil {
		return err
	}
	extra := store.Extra{ACL: o.ACL(), Tags: o.Tags(), Target: target}
	o.Extra, o.Type = &extra, store.Symlink
	o.Content = c.server.store.Join()
	defer o.Content.Release()
	_, o.ETag, err = c.server.digest(o.Content)
	if err != nil {
		return err
	}
	if err := c.put(o); err != nil {
		return err
	}
	c.w.Header()["Etag"] = []string{quote(o.ETag)}
	return c.empty(http.StatusOK)
}

// getSymlink is https://help.aliyun.com/en/oss/developer-reference/getsymlink.
func (c *call) getSymlink() error {
	f, err := c.find(c.bucket, c.key, c.param("versionId"), false)
	if err != nil {
		return err
	}
	defer f.release()
	o := f.object
	if o.Type != store.Symlink {
		return fail(http.StatusBadRequest, "NotSymlink", "0026-00000010", "The object is not a symlink.", "Key", c.key)
	}
	h := c.w.Header()
	for _, field := range o.Header {
		h[field.Name] = []string{field.Value}
	}
	h["X-Oss-Symlink-Target"] = []string{url.PathEscape(o.Target())}
	h["Etag"] = []string{quote(o.ETag)}
	h["Last-Modified"] = []string{o.Modified.Format(http.TimeFormat)}
	return c.empty(http.StatusOK)
}

// archived reports a class whose objects must be restored before they can be read
// (https://help.aliyun.com/en/oss/user-guide/overview-53).
func archived(class string) bool {
	return class == "Archive" || class == "ColdArchive" || class == "DeepColdArchive"
}

// readable reports whether the bytes can be read now.
func (s *Server) readable(o *store.Object) bool {
	if !archived(o.Class) {
		return true
	}
	now := s.opts.Now()
	return !o.RestoreDone().IsZero() && !now.Before(o.RestoreDone()) && now.Before(o.RestoredUntil())
}

func invalidState(key string) *failure {
	return fail(http.StatusForbidden, "InvalidObjectState", "0026-00000216", "The operation is not valid for the object's state", "ObjectName", key)
}

// restoreHeader is x-oss-restore: empty when no restore is under way or in force.
func (s *Server) restoreHeader(o *store.Object) string {
	now := s.opts.Now()
	switch {
	case o.Extra == nil || !archived(o.Class) || o.RestoreDone().IsZero() || !now.Before(o.RestoredUntil()):
		return ""
	case now.Before(o.RestoreDone()):
		return `ongoing-request="true"`
	}
	return `ongoing-request="false", expiry-date="` + o.RestoredUntil().UTC().Format(http.TimeFormat) + `"`
}

// restoreObject is https://help.aliyun.com/en/oss/developer-reference/restoreobject.
func (c *call) restoreObject() error {
	doc := struct {
		Days int
	}{Days: 1}
	if err := c.readXML(&doc, true); err != nil {
		return err
	}
	if doc.Days < 1 || doc.Days > defaultMaxAge {
		return malformedXML()
	}
	status := http.StatusAccepted
	err := c.change(func(o *store.Object, extra *store.Extra) error {
		if !archived(o.Class) {
			return fail(http.StatusBadRequest, "OperationNotSupported", "0016-00000702", "The operation is not supported for this resource.", "Resource", c.key)
		}
		now := c.server.opts.Now().UTC()
		switch {
		case c.server.readable(o):
			status = http.StatusOK
		case !extra.Restore.IsZero() && now.Before(extra.Restore):
			return fail(http.StatusConflict, "RestoreAlreadyInProgress", "0016-00000701", "The restore operation is in progress.", "ObjectName", c.key)
		default:
			extra.Restore = now.Add(c.server.opts.RestoreTime)
		}
		extra.Restored = later(now, extra.Restore).Add(time.Duration(doc.Days) * 24 * time.Hour)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(status)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cleanRestored is https://help.aliyun.com/en/oss/developer-reference/cleanrestoredobject.
func (c *call) cleanRestored() error {
	err := c.change(func(o *store.Object, extra *store.Extra) error {
		if !c.server.readable(o) || !archived(o.Class) {
			return fail(http.StatusConflict, "ArchiveRestoreNotFinished", "0026-00000217", "The archive file's restore is not finished.", "ObjectName", c.key)
		}
		extra.Restore, extra.Restored = time.Time{}, time.Time{}
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// change puts the object anew with other extras; its bytes, headers and time stay.
func (c *call) change(edit func(*store.Object, *store.Extra) error) error {
	return c.server.store.Update(func(tx *store.Tx) error {
		old := tx.Object(c.bucket, c.key)
		if old == nil {
			return noSuchKey(c.key)
		}
		var extra store.Extra
		if old.Extra != nil {
			extra = *old.Extra
		}
		if err := edit(old, &extra); err != nil {
			return err
		}
		o := *old
		o.Extra = &extra
		tx.PutObject(c.bucket, &o)
		return nil
	})
}

func (c *call) object() (*store.Object, error) {
	var o *store.Object
	err := c.server.store.View(func(tx *store.Tx) error {
		if o = tx.Object(c.bucket, c.key); o == nil {
			return noSuchKey(c.key)
		}
		return nil
	})
	return o, err
}

// getObjectACL is https://help.aliyun.com/en/oss/developer-reference/getobjectacl.
func (c *call) getObjectACL() error {
	o, err := c.object()
	if err != nil {
		return err
	}
	acl := o.ACL()
	if acl == "" {
		acl = "default"
	}
	c.writeACL(acl)
	return nil
}

// putObjectACL is https://help.aliyun.com/en/oss/developer-reference/putobjectacl.
func (c *call) putObjectACL() error {
	acl := c.r.Header.Get("X-Oss-Object-Acl")
	if !validACL(acl, true) {
		return invalidArgument("x-oss-object-acl", acl, "The object ACL is invalid.")
	}
	if err := c.change(func(_ *store.Object, extra *store.Extra) error { extra.ACL = acl; return nil }); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// tagging is the document of tags.
type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []struct {
		Key   string
		Value string
	} `xml:"TagSet>Tag"`
}

// putTagging is https://help.aliyun.com/en/oss/developer-reference/putobjecttagging.
func (c *call) putTagging() error {
	var doc tagging
	if err := c.readXML(&doc, false); err != nil {
		return err
	}
	values := url.Values{}
	for _, t := range doc.Tags {
		values.Add(t.Key, t.Value)
	}
	tags, err := parseTags(values.Encode())
	if err != nil {
		return err
	}
	if err := c.change(func(_ *store.Object, extra *store.Extra) error { extra.Tags = tags; return nil }); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// deleteTagging is https://help.aliyun.com/en/oss/developer-reference/deleteobjecttagging.
func (c *call) deleteTagging() error {
	if err := c.change(func(_ *store.Object, extra *store.Extra) error { extra.Tags = ""; return nil }); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// getTagging is https://help.aliyun.com/en/oss/developer-reference/getobjecttagging.
func (c *call) getTagging() error {
	o, err := c.object()
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(o.Tags())
	if err != nil {
		return err
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var x xmlWriter
	x.begin("Tagging")
	x.begin("TagSet")
	for _, name := range names {
		x.begin("Tag")
		x.text("Key", name)
		x.text("Value", values.Get(name))
		x.end("Tag")
	}
	x.end("TagSet")
	x.end("Tagging")
	c.writeXML(http.StatusOK, &x)
	return nil
}
