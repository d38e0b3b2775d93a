package ossserver

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// access is what a request needs to be allowed.
type access uint8

const (
	owner access = iota // signed by one of the keys
	read                // or public-read
	write               // or public-read-write
)

// operation is one of the API's.
type operation struct {
	name   string
	needs  access
	create bool // the bucket need not exist
	do     func(*call) error
}

// route finds the operation that method and parameters ask for
// (https://help.aliyun.com/en/oss/developer-reference/list-of-operations-by-function).
func (c *call) route() {
	switch {
	case c.bucket == "":
		c.op = c.routeService()
	case c.key == "":
		c.op = c.routeBucket()
	default:
		c.op = c.routeObject()
	}
}

func (c *call) routeService() operation {
	switch {
	case c.r.Method != http.MethodGet:
		return operation{name: "Service"}
	case c.has("regions"):
		return operation{"DescribeRegions", owner, true, (*call).describeRegions}
	}
	return operation{"ListBuckets", owner, true, (*call).listBuckets}
}

func (c *call) routeBucket() operation {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return c.routeBucketGet()
	case http.MethodPut:
		switch {
		case c.has("acl"):
			return operation{"PutBucketAcl", owner, false, (*call).putBucketACL}
		case c.has("versioning"):
			return operation{"PutBucketVersioning", owner, false, (*call).putBucketVersioning}
		case len(c.query) > 0 && c.unknownBucketParam():
			return operation{"Bucket", owner, false, (*call).unknown}
		}
		return operation{"PutBucket", owner, true, (*call).putBucket}
	case http.MethodDelete:
		if c.unknownBucketParam() {
			return operation{"Bucket", owner, false, (*call).unknown}
		}
		return operation{"DeleteBucket", owner, false, (*call).deleteBucket}
	case http.MethodPost:
		if c.has("delete") {
			return operation{"DeleteMultipleObjects", write, false, (*call).deleteMultiple}
		}
	}
	return operation{name: "Bucket"}
}

func (c *call) routeBucketGet() operation {
	switch {
	case c.has("bucketInfo"):
		return operation{"GetBucketInfo", owner, false, (*call).bucketInfo}
	case c.has("location"):
		return operation{"GetBucketLocation", owner, false, (*call).bucketLocation}
	case c.has("acl"):
		return operation{"GetBucketAcl", owner, false, (*call).bucketACL}
	case c.has("versioning"):
		return operation{"GetBucketVersioning", owner, false, (*call).bucketVersioning}
	case c.has("stat"):
		return operation{"GetBucketStat", owner, false, (*call).bucketStat}
	case c.has("uploads"):
		return operation{"ListMultipartUploads", owner, false, (*call).listUploads}
	case c.has("versions"):
		return operation{"ListObjectVersions", read, false, (*call).listVersions}
	case c.unknownBucketParam():
		return operation{"Bucket", owner, false, (*call).unknown}
	case c.param("list-type") == "2":
		return operation{"ListObjectsV2", read, false, (*call).listV2}
	}
	return operation{"ListObjects", read, false, (*call).listV1}
}

// unknownBucketParam reports a sub-resource that this server does not have.
func (c *call) unknownBucketParam() bool {
	for _, p := range c.query {
		switch p.Name {
		case "lifecycle", "logging", "website", "referer", "cors", "policy", "tagging", "encryption", "replication",
			"requestPayment", "worm", "inventory", "cname", "transferAcceleration", "metaQuery", "resourceGroup",
			"style", "accessmonitor", "publicAccessBlock", "policyStatus", "httpsConfig", "archiveDirectRead":
			return true
		}
	}
	return false
}

func (c *call) routeObject() operation {
	switch c.r.Method {
	case http.MethodGet:
		switch {
		case c.has("uploadId"):
			return operation{"ListParts", owner, false, (*call).listParts}
		case c.has("symlink"):
			return operation{"GetSymlink", read, false, (*call).getSymlink}
		case c.has("acl"):
			return operation{"GetObjectAcl", owner, false, (*call).getObjectACL}
		case c.has("tagging"):
			return operation{"GetObjectTagging", owner, false, (*call).getTagging}
		case c.has("objectMeta"):
			return operation{"GetObjectMeta", read, false, (*call).objectMeta}
		}
		return operation{"GetObject", read, false, (*call).getObject}
	case http.MethodHead:
		if c.has("objectMeta") {
			return operation{"GetObjectMeta", read, false, (*call).objectMeta}
		}
		return operation{"HeadObject", read, false, (*call).headObject}
	case http.MethodDelete:
		switch {
		case c.has("uploadId"):
			return operation{"AbortMultipartUpload", write, false, (*call).abortUpload}
		case c.has("tagging"):
			return operation{"DeleteObjectTagging", owner, false, (*call).deleteTagging}
		}
		return operation{"DeleteObject", write, false, (*call).deleteObject}
	case http.MethodPut:
		return c.routePut()
	case http.MethodPost:
		return c.routePost()
	}
	return operation{name: "Object"}
}

func (c *call) routePut() operation {
	copying := c.r.Header.Get("X-Oss-Copy-Source") != ""
	switch {
	case c.has("uploadId") && copying:
		return operation{"UploadPartCopy", write, false, (*call).uploadPartCopy}
	case c.has("uploadId"):
		return operation{"UploadPart", write, false, (*call).uploadPart}
	case c.has("symlink"):
		return operation{"PutSymlink", write, false, (*call).putSymlink}
	case c.has("acl"):
		return operation{"PutObjectAcl", owner, false, (*call).putObjectACL}
	case c.has("tagging"):
		return operation{"PutObjectTagging", owner, false, (*call).putTagging}
	case copying:
		return operation{"CopyObject", write, false, (*call).copyObject}
	}
	return operation{"PutObject", write, false, (*call).putObject}
}

func (c *call) routePost() operation {
	switch {
	case c.has("append"):
		return operation{"AppendObject", write, false, (*call).appendObject}
	case c.has("uploads"):
		return operation{"InitiateMultipartUpload", write, false, (*call).initiateUpload}
	case c.has("uploadId"):
		return operation{"CompleteMultipartUpload", write, false, (*call).completeUpload}
	case c.has("restore"):
		return operation{"RestoreObject", owner, false, (*call).restoreObject}
	case c.has("cleanRestoredObject"):
		return operation{"CleanRestoredObject", owner, false, (*call).cleanRestored}
	}
	return operation{name: "Object"}
}

func (c *call) unknown() error { return notImplemented(c.query[0].Name) }

// checkNames refuses names that cannot be
// (https://help.aliyun.com/en/oss/user-guide/bucket-naming-conventions and object-naming-conventions).
func (c *call) checkNames() error {
	if c.bucket != "" && !validBucket(c.bucket) {
		return fail(http.StatusBadRequest, "InvalidBucketName", "0015-00000001", "The specified bucket is not valid.", "BucketName", c.bucket)
	}
	if c.key != "" && !validKey(c.key) {
		return invalidName(c.key)
	}
	if c.bucket == "" || c.op.create {
		return nil
	}
	return c.server.store.View(func(tx *store.Tx) error {
		if tx.Bucket(c.bucket) == nil {
			return noSuchBucket(c.bucket)
		}
		return nil
	})
}

func invalidName(key string) *failure {
	message := "The specified object is not valid."
	if len(key) > maxKey {
		message = "The Length of Object name must be less than 1024."
	}
	return fail(http.StatusBadRequest, "InvalidObjectName", "0016-00000901", message, "ObjectName", key)
}

func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for i := range len(name) {
		b := name[i]
		letter := b >= 'a' && b <= 'z' || b >= '0' && b <= '9'
		if !letter && (b != '-' || i == 0 || i == len(name)-1) {
			return false
		}
	}
	return true
}

func validKey(key string) bool {
	return len(key) >= 1 && len(key) <= maxKey && key[0] != '/' && key[0] != '\\' && utf8.ValidString(key) &&
		!strings.ContainsRune(key, 0)
}

// authorize lets the owner do all, and others what the ACLs of object and bucket allow
// (https://help.aliyun.com/en/oss/user-guide/object-acl).
func (c *call) authorize() error {
	if c.signed {
		return nil
	}
	if c.op.needs == owner || c.bucket == "" {
		return accessDenied("0003-00000001", "Anonymous access is forbidden for this operation.")
	}
	var acl string
	err := c.server.store.View(func(tx *store.Tx) error {
		acl = tx.Bucket(c.bucket).ACL
		if o := tx.Object(c.bucket, c.key); o != nil && o.ACL() != "" && o.ACL() != "default" {
			acl = o.ACL()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if acl == "public-read-write" || acl == "public-read" && c.op.needs == read {
		return nil
	}
	return accessDenied("0003-00000001", "You have no right to access this object because of bucket acl.")
}
