package ossserver

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// listParts is https://help.aliyun.com/en/oss/developer-reference/listparts.
func (c *call) listParts() error {
	limit, err := c.maxKeys("max-parts", maxListed)
	if err != nil {
		return err
	}
	marker, ok := number(c.param("part-number-marker"))
	if !ok && c.has("part-number-marker") && c.param("part-number-marker") != "" {
		return invalidArgument("part-number-marker", c.param("part-number-marker"), "The part number marker is invalid.")
	}
	var parts []*store.Part
	var u *store.Upload
	err = c.server.store.View(func(tx *store.Tx) error {
		if u, err = c.upload(tx); err != nil {
			return err
		}
		tx.AscendParts(u, int(min(marker, maxParts))+1, func(p *store.Part) bool {
			parts = append(parts, p)
			return len(parts) <= limit
		})
		return nil
	})
	if err != nil {
		return err
	}
	truncated := len(parts) > limit
	parts = parts[:min(limit, len(parts))]
	next := marker
	if len(parts) > 0 {
		next = int64(parts[len(parts)-1].Number)
	}
	x := xmlWriter{url: c.param("encoding-type") == "url"}
	x.begin("ListPartsResult")
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.raw("Bucket", c.bucket)
	x.key("Key", c.key)
	x.raw("UploadId", u.ID)
	x.raw("StorageClass", u.Object.Class)
	x.number("PartNumberMarker", marker)
	x.number("NextPartNumberMarker", next)
	x.number("MaxParts", int64(limit))
	x.raw("IsTruncated", strconv.FormatBool(truncated))
	for _, p := range parts {
		x.begin("Part")
		x.number("PartNumber", int64(p.Number))
		x.raw("LastModified", p.Modified.Format(listTime))
		x.text("ETag", quote(p.ETag))
		x.raw("HashCrc64ecma", strconv.FormatUint(p.CRC, 10))
		x.number("Size", p.Size)
		x.end("Part")
	}
	x.end("ListPartsResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// listUploads is https://help.aliyun.com/en/oss/developer-reference/listmultipartuploads.
func (c *call) listUploads() error {
	limit, err := c.maxKeys("max-uploads", maxListed)
	if err != nil {
		return err
	}
	prefix, delimiter := c.param("prefix"), c.param("delimiter")
	marker, idMarker := c.param("key-marker"), c.param("upload-id-marker")
	p := uploadPage{limit: limit}
	err = c.server.store.View(func(tx *store.Tx) error {
		from, fromID := max(prefix, marker), ""
		if from == marker {
			fromID = idMarker
		}
		tx.AscendUploads(c.bucket, from, fromID, func(u *store.Upload) bool {
			key := u.Object.Key
			switch {
			case !strings.HasPrefix(key, prefix):
				return key < prefix
			case marker != "" && (key == marker && (idMarker == "" || u.ID <= idMarker)):
				return true // listed before
			}
			if common, ok := commonPrefix(key, prefix, delimiter); ok {
				if common == marker || len(p.prefixes) > 0 && p.prefixes[len(p.prefixes)-1] == common {
					return true
				}
				return p.add(nil, common)
			}
			return p.add(u, "")
		})
		return nil
	})
	if err != nil {
		return err
	}
	c.writeUploads(&p, prefix, delimiter, marker, idMarker)
	return nil
}

// uploadPage gathers uploads and prefixes up to a limit.
type uploadPage struct {
	limit     int
	uploads   []*store.Upload
	prefixes  []string
	truncated bool
	nextKey   string
	nextID    string
}

func (p *uploadPage) add(u *store.Upload, common string) bool {
	if len(p.uploads)+len(p.prefixes) >= p.limit {
		p.truncated = true
		return false
	}
	if u == nil {
		p.prefixes = append(p.prefixes, common)
		p.nextKey, p.nextID = common, ""
		return true
	}
	p.uploads = append(p.uploads, u)
	p.nextKey, p.nextID = u.Object.Key, u.ID
	return true
}

func (c *call) writeUploads(p *uploadPage, prefix, delimiter, marker, idMarker string) {
	x := xmlWriter{url: c.param("encoding-type") == "url"}
	x.begin("ListMultipartUploadsResult")
	if x.url {
		x.raw("EncodingType", "url")
	}
	x.raw("Bucket", c.bucket)
	x.key("KeyMarker", marker)
	x.text("UploadIdMarker", idMarker)
	if p.truncated {
		x.key("NextKeyMarker", p.nextKey)
		x.text("NextUploadIdMarker", p.nextID)
	}
	x.key("Delimiter", delimiter)
	x.key("Prefix", prefix)
	x.number("MaxUploads", int64(p.limit))
	x.raw("IsTruncated", strconv.FormatBool(p.truncated))
	for _, u := range p.uploads {
		x.begin("Upload")
		x.key("Key", u.Object.Key)
		x.raw("UploadId", u.ID)
		x.raw("StorageClass", u.Object.Class)
		x.raw("Initiated", u.Initiated.Format(listTime))
		x.end("Upload")
	}
	writePrefixes(&x, p.prefixes)
	x.end("ListMultipartUploadsResult")
	c.writeXML(http.StatusOK, &x)
}

func writePrefixes(x *xmlWriter, prefixes []string) {
	for _, p := range prefixes {
		x.begin("CommonPrefixes")
		x.key("Prefix", p)
		x.end("CommonPrefixes")
	}
}
