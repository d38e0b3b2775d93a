package sign

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"slices"
	"strings"
)

// signedV1 are the parameters that a V1 signature covers besides x-oss-*
// (https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header).
func signedV1(name string) bool {
	switch name {
	case "acl", "uploads", "location", "cors", "logging", "website", "referer", "lifecycle", "delete", "append",
		"tagging", "objectMeta", "uploadId", "partNumber", "security-token", "position", "img", "style", "styleName",
		"replication", "replicationProgress", "replicationLocation", "cname", "bucketInfo", "comp", "qos", "live",
		"status", "vod", "startTime", "endTime", "symlink", "stat", "policy", "versioning", "versions", "versionId",
		"restore", "continuation-token", "encryption", "requestPayment", "worm", "wormId", "wormExtend", "callback",
		"callback-var", "sequential", "inventory", "inventoryId", "regionList", "cloudboxes", "accessmonitor",
		"metaQuery", "transferAcceleration", "resourceGroup", "httpsConfig", "udf", "udfName", "udfImage", "udfId",
		"udfImageDesc", "udfApplication", "udfApplicationLog", "rtc", "token", "policyStatus", "publicAccessBlock",
		"archiveDirectRead", "cleanRestoredObject", "asyncFetch", "qosInfo", "requesterQosInfo", "seal",
		"response-content-type", "response-content-language", "response-expires", "response-cache-control",
		"response-content-disposition", "response-content-encoding":
		return true
	}
	return strings.HasPrefix(name, "x-oss-")
}

// headerV1 reads "AccessKeyId:Signature".
func (v *Verifier) headerV1(r *Request, auth string) (*method, *Error) {
	id, signature, ok := strings.Cut(auth, ":")
	if !ok || id == "" {
		return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000201")
	}
	if err := v.checkDate(r); err != nil {
		return nil, err
	}
	// A browser cannot set Date, so x-oss-date stands in for it where it is present.
	date := r.Header.Get("X-Oss-Date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	m := r.methodV1(date)
	m.id, m.provided, m.token = id, signature, r.Header.Get("X-Oss-Security-Token")
	return m, nil
}

// queryV1 reads Expires, OSSAccessKeyId and Signature
// (https://help.aliyun.com/en/oss/developer-reference/ddd-signatures-to-urls).
func (v *Verifier) queryV1(r *Request) (*method, *Error) {
	date, err := v.checkExpiry(r, "Expires")
	if err != nil {
		return nil, err
	}
	m := r.methodV1(date)
	m.id, _ = r.param("OSSAccessKeyId")
	m.provided, _ = r.param("Signature")
	m.token, _ = r.param("security-token")
	return m, nil
}

func (r *Request) methodV1(date string) *method {
	var resource strings.Builder
	resource.WriteString("/")
	if r.Bucket != "" {
		resource.WriteString(r.Bucket + "/" + r.Key)
	}
	signed := slices.DeleteFunc(slices.Clone(r.Query), func(p Param) bool { return !signedV1(p.Name) })
	slices.SortStableFunc(signed, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	for i, p := range signed {
		resource.WriteByte("?&"[min(i, 1)])
		resource.WriteString(p.Name)
		if p.Value != "" {
			resource.WriteString("=" + p.Value)
		}
	}
	toSign := r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" + date + "\n" +
		canonicalHeaders(r, func(name string) bool { return strings.HasPrefix(name, "x-oss-") }) + resource.String()
	return &method{toSign: toSign, expected: base64HMAC(sha1.New, toSign)}
}

func base64HMAC(sum func() hash.Hash, toSign string) func(string) string {
	return func(secret string) string {
		h := hmac.New(sum, []byte(secret))
		h.Write([]byte(toSign))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
}

// headerV2 reads "AccessKeyId:id,AdditionalHeaders:a;b,Signature:...".
func (v *Verifier) headerV2(r *Request, auth string) (*method, *Error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(auth, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		fields[name] = value
	}
	if fields["AccessKeyId"] == "" {
		return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000105")
	}
	if fields["Signature"] == "" {
		return nil, invalidArgument("Authorization", auth, "The authorization header is invalid.", "0002-00000108")
	}
	list, present := fields["AdditionalHeaders"]
	if err := additionalHeaders(list, present, auth, "0002-00000110", "0002-00000111"); err != nil {
		return nil, err
	}
	if err := v.checkDate(r); err != nil {
		return nil, err
	}
	date := r.Header.Get("Date")
	if date == "" {
		date = r.Header.Get("X-Oss-Date")
	}
	m := r.methodV2(date, list)
	m.id, m.provided, m.token = fields["AccessKeyId"], fields["Signature"], r.Header.Get("X-Oss-Security-Token")
	return m, nil
}

func (v *Verifier) queryV2(r *Request) (*method, *Error) {
	date, err := v.checkExpiry(r, "x-oss-expires")
	if err != nil {
		return nil, err
	}
	additional, _ := r.param("x-oss-additional-headers")
	m := r.methodV2(date, additional)
	m.id, _ = r.param("x-oss-access-key-id")
	m.provided, _ = r.param("x-oss-signature")
	if m.token, _ = r.param("x-oss-security-token"); m.token == "" {
		m.token, _ = r.param("security-token")
	}
	return m, nil
}

func (r *Request) methodV2(date, additional string) *method {
	extra := strings.Split(additional, ";")
	path := "/"
	if r.Bucket != "" {
		path += r.Bucket + "/" + r.Key
	}
	resource := Escape(path, false)
	if query := canonicalQuery(r.Query, func(name string) bool { return name == "x-oss-signature" }); query != "" {
		resource += "?" + query
	}
	toSign := r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" + date + "\n" +
		canonicalHeaders(r, func(name string) bool {
			return strings.HasPrefix(name, "x-oss-") || additional != "" && slices.Contains(extra, name)
		}) + additional + "\n" + resource
	return &method{toSign: toSign, expected: base64HMAC(sha256.New, toSign)}
}
