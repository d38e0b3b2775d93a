package ossserver

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

const listTime = "2006-01-02T15:04:05.000Z"

func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// CreateBucket makes a bucket of that name, private and of class Standard. It fails when there is one or the
// name is not allowed.
func (s *Server) CreateBucket(name string) error {
	if !validBucket(name) {
		return errors.New("OSS server: bad bucket name " + strconv.Quote(name))
	}
	return s.store.Update(func(tx *store.Tx) error {
		if tx.Bucket(name) != nil {
			return errors.New("OSS server: bucket " + name + " exists")
		}
		tx.PutBucket(store.Bucket{Name: name, Created: s.now(), ACL: privateACL, Class: standardClass, Redundancy: "LRS"})
		return nil
	})
}

// SetBucketACL makes a bucket "private", "public-read" or "public-read-write".
func (s *Server) SetBucketACL(name, acl string) error {
	if !validACL(acl, false) {
		return errors.New("OSS server: bad ACL " + strconv.Quote(acl))
	}
	return s.store.Update(func(tx *store.Tx) error {
		b := tx.Bucket(name)
		if b == nil {
			return errors.New("OSS server: no bucket " + name)
		}
		changed := *b
		changed.ACL = acl
		tx.PutBucket(changed)
		return nil
	})
}

// HasBucket reports whether there is a bucket of that name.
func (s *Server) HasBucket(name string) bool {
	found := false
	err := s.store.View(func(tx *store.Tx) error {
		found = tx.Bucket(name) != nil
		return nil
	})
	return err == nil && found
}

// putBucket is https://help.aliyun.com/en/oss/developer-reference/putbucket.
func (c *call) putBucket() error {
	var doc struct {
		StorageClass       string
		DataRedundancyType string
	}
	if err := c.readXML(&doc, true); err != nil {
		return err
	}
	acl := c.r.Header.Get("X-Oss-Acl")
	if acl == "" {
		acl = privateACL
	}
	if !validACL(acl, false) {
		return invalidArgument("x-oss-acl", acl, "The x-oss-acl is invalid.")
	}
	if doc.StorageClass == "" {
		doc.StorageClass = standardClass
	}
	if !validClass(doc.StorageClass) {
		return malformedXML()
	}
	if doc.DataRedundancyType == "" {
		doc.DataRedundancyType = "LRS"
	}
	err := c.server.store.Update(func(tx *store.Tx) error {
		info := store.Bucket{Name: c.bucket, Created: c.server.now(), Class: doc.StorageClass, Redundancy: doc.DataRedundancyType}
		if old := tx.Bucket(c.bucket); old != nil {
			info = *old // the owner's own bucket: its ACL may change
		}
		info.ACL = acl
		tx.PutBucket(info)
		return nil
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	return c.empty(http.StatusOK)
}

// deleteBucket is https://help.aliyun.com/en/oss/developer-reference/deletebucket.
func (c *call) deleteBucket() error {
	err := c.server.store.Update(func(tx *store.Tx) error {
		if objects, uploads, _ := tx.Usage(c.bucket); objects+uploads > 0 {
			return fail(http.StatusConflict, "BucketNotEmpty", "0015-00000301", "The bucket has objects. Please delete them first.", "BucketName", c.bucket)
		}
		tx.DeleteBucket(c.bucket)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (c *call) info() store.Bucket {
	var info store.Bucket
	_ = c.server.store.View(func(tx *store.Tx) error { // a closed store shows at the next step
		if b := tx.Bucket(c.bucket); b != nil {
			info = *b
		}
		return nil
	})
	return info
}

func writeOwner(x *xmlWriter) {
	x.begin("Owner")
	x.raw("ID", ownerID)
	x.raw("DisplayName", ownerID)
	x.end("Owner")
}

// bucketInfo is https://help.aliyun.com/en/oss/developer-reference/getbucketinfo.
func (c *call) bucketInfo() error {
	b := c.info()
	region := c.server.opts.Region
	var x xmlWriter
	x.begin("BucketInfo")
	x.begin("Bucket")
	x.raw("AccessMonitor", "Disabled")
	x.raw("CreationDate", b.Created.Format(listTime))
	x.raw("ExtranetEndpoint", "oss-"+region+".aliyuncs.com")
	x.raw("IntranetEndpoint", "oss-"+region+"-internal.aliyuncs.com")
	x.raw("Location", "oss-"+region)
	x.raw("StorageClass", b.Class)
	x.raw("TransferAcceleration", "Disabled")
	x.raw("CrossRegionReplication", "Disabled")
	x.raw("DataRedundancyType", b.Redundancy)
	x.raw("Name", b.Name)
	if b.Versioning != "" {
		x.raw("Versioning", b.Versioning)
	}
	writeOwner(&x)
	x.begin("AccessControlList")
	x.raw("Grant", b.ACL)
	x.end("AccessControlList")
	x.begin("ServerSideEncryptionRule")
	x.raw("SSEAlgorithm", "None")
	x.end("ServerSideEncryptionRule")
	x.begin("BucketPolicy")
	x.raw("LogBucket", "")
	x.raw("LogPrefix", "")
	x.end("BucketPolicy")
	x.end("Bucket")
	x.end("BucketInfo")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// bucketLocation is https://help.aliyun.com/en/oss/developer-reference/getbucketlocation.
func (c *call) bucketLocation() error {
	var x xmlWriter
	x.raw("LocationConstraint", "oss-"+c.server.opts.Region)
	c.writeXML(http.StatusOK, &x)
	return nil
}

// bucketStat is https://help.aliyun.com/en/oss/developer-reference/getbucketstat.
func (c *call) bucketStat() error {
	var objects, uploads int
	var bytes int64
	err := c.server.store.View(func(tx *store.Tx) error {
		objects, uploads, bytes = tx.Usage(c.bucket)
		return nil
	})
	if err != nil {
		return err
	}
	var x xmlWriter
	x.begin("BucketStat")
	x.number("Storage", bytes)
	x.number("ObjectCount", int64(objects))
	x.number("MultipartUploadCount", int64(uploads))
	x.number("LiveChannelCount", 0)
	x.number("LastModifiedTime", c.server.now().Unix())
	x.number("StandardStorage", bytes)
	x.number("StandardObjectCount", int64(objects))
	x.end("BucketStat")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// bucketACL is https://help.aliyun.com/en/oss/developer-reference/getbucketacl.
func (c *call) bucketACL() error {
	c.writeACL(c.info().ACL)
	return nil
}

func (c *call) writeACL(acl string) {
	var x xmlWriter
	x.begin("AccessControlPolicy")
	writeOwner(&x)
	x.begin("AccessControlList")
	x.raw("Grant", acl)
	x.end("AccessControlList")
	x.end("AccessControlPolicy")
	c.writeXML(http.StatusOK, &x)
}

// putBucketACL is https://help.aliyun.com/en/oss/developer-reference/putbucketacl.
func (c *call) putBucketACL() error {
	acl := c.r.Header.Get("X-Oss-Acl")
	if !validACL(acl, false) {
		return invalidArgument("x-oss-acl", acl, "The x-oss-acl is invalid.")
	}
	return c.changeBucket(func(b *store.Bucket) { b.ACL = acl })
}

// putBucketVersioning is https://help.aliyun.com/en/oss/developer-reference/putbucketversioning. The state is kept
// and told; versions are not.
func (c *call) putBucketVersioning() error {
	var doc struct{ Status string }
	if err := c.readXML(&doc, false); err != nil {
		return err
	}
	if doc.Status != "Enabled" && doc.Status != "Suspended" {
		return malformedXML()
	}
	return c.changeBucket(func(b *store.Bucket) { b.Versioning = doc.Status })
}

func (c *call) changeBucket(change func(*store.Bucket)) error {
	err := c.server.store.Update(func(tx *store.Tx) error {
		b := tx.Bucket(c.bucket)
		if b == nil {
			return noSuchBucket(c.bucket)
		}
		change(b)
		tx.PutBucket(*b)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// bucketVersioning is https://help.aliyun.com/en/oss/developer-reference/getbucketversioning.
func (c *call) bucketVersioning() error {
	var x xmlWriter
	x.begin("VersioningConfiguration")
	if v := c.info().Versioning; v != "" {
		x.raw("Status", v)
	}
	x.end("VersioningConfiguration")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// listBuckets is https://help.aliyun.com/en/oss/developer-reference/listbuckets.
func (c *call) listBuckets() error {
	limit, err := c.maxKeys("max-keys", defaultListed)
	if err != nil {
		return err
	}
	prefix, marker := c.param("prefix"), c.param("marker")
	var buckets []store.Bucket
	err = c.server.store.View(func(tx *store.Tx) error {
		names := tx.Buckets()
		slices.Sort(names)
		for _, name := range names {
			if strings.HasPrefix(name, prefix) && name > marker {
				buckets = append(buckets, *tx.Bucket(name))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	truncated := len(buckets) > limit
	buckets = buckets[:min(limit, len(buckets))]
	var x xmlWriter
	x.begin("ListAllMyBucketsResult")
	if prefix != "" || marker != "" || truncated {
		x.text("Prefix", prefix)
		x.text("Marker", marker)
		x.number("MaxKeys", int64(limit))
		x.raw("IsTruncated", strconv.FormatBool(truncated))
		if truncated {
			x.text("NextMarker", buckets[len(buckets)-1].Name)
		}
	}
	writeOwner(&x)
	x.begin("Buckets")
	region := c.server.opts.Region
	for _, b := range buckets {
		x.begin("Bucket")
		x.raw("CreationDate", b.Created.Format(listTime))
		x.raw("ExtranetEndpoint", "oss-"+region+".aliyuncs.com")
		x.raw("IntranetEndpoint", "oss-"+region+"-internal.aliyuncs.com")
		x.raw("Location", "oss-"+region)
		x.raw("Name", b.Name)
		x.raw("Region", region)
		x.raw("StorageClass", b.Class)
		x.end("Bucket")
	}
	x.end("Buckets")
	x.end("ListAllMyBucketsResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// describeRegions is https://help.aliyun.com/en/oss/developer-reference/describeregions.
func (c *call) describeRegions() error {
	region := c.server.opts.Region
	var x xmlWriter
	x.begin("RegionInfoList")
	if want := c.param("regions"); want == "" || want == "oss-"+region {
		x.begin("RegionInfo")
		x.raw("Region", "oss-"+region)
		x.raw("InternetEndpoint", "oss-"+region+".aliyuncs.com")
		x.raw("InternalEndpoint", "oss-"+region+"-internal.aliyuncs.com")
		x.raw("AccelerateEndpoint", "oss-accelerate.aliyuncs.com")
		x.end("RegionInfo")
	}
	x.end("RegionInfoList")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// readXML decodes the request's document. An absent one is an error unless optional.
func (c *call) readXML(into any, optional bool) error {
	body, err := c.readDocument()
	if err != nil {
		return err
	}
	if len(body) == 0 && optional {
		return nil
	}
	if xml.Unmarshal([]byte(body), into) != nil {
		return malformedXML()
	}
	return nil
}

func validACL(acl string, object bool) bool {
	switch acl {
	case privateACL, "public-read", "public-read-write":
		return true
	case "default":
		return object
	}
	return false
}

func validClass(class string) bool {
	switch class {
	case standardClass, "IA", "Archive", "ColdArchive", "DeepColdArchive":
		return true
	}
	return false
}
