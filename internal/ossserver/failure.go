package ossserver

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/sign"
)

// failure is an answer that is an error document
// (https://help.aliyun.com/en/oss/developer-reference/error-responses).
type failure struct {
	status  int
	code    string
	message string
	ec      string
	detail  [][2]string // further elements, in order
	header  http.Header // further headers
}

func (f *failure) Error() string { return f.code + ": " + f.message }

// errAbandoned: the client went away, or the connection is gone; nothing can be answered.
var errAbandoned = errors.New("connection abandoned")

func fail(status int, code, ec, message string, detail ...string) *failure {
	f := &failure{status: status, code: code, message: message, ec: ec}
	for i := 0; i+1 < len(detail); i += 2 {
		f.detail = append(f.detail, [2]string{detail[i], detail[i+1]})
	}
	return f
}

func invalidArgument(name, value, message string) *failure {
	return fail(http.StatusBadRequest, "InvalidArgument", "0017-00000902", message, "ArgumentName", name, "ArgumentValue", value)
}

func noSuchBucket(name string) *failure {
	return fail(http.StatusNotFound, "NoSuchBucket", "0015-00000101", "The specified bucket does not exist.", "BucketName", name)
}

func noSuchKey(key string) *failure {
	return fail(http.StatusNotFound, "NoSuchKey", "0026-00000001", "The specified key does not exist.", "Key", key)
}

func noSuchUpload(id string) *failure {
	return fail(http.StatusNotFound, "NoSuchUpload", "0017-00000244",
		"The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", "UploadId", id)
}

func malformedXML() *failure {
	return fail(http.StatusBadRequest, "MalformedXML", "0031-00000001",
		"The XML you provided was not well-formed or did not validate against our published schema.")
}

func accessDenied(ec, message string) *failure {
	return fail(http.StatusForbidden, "AccessDenied", ec, message)
}

func notImplemented(what string) *failure {
	return fail(http.StatusNotImplemented, "NotImplemented", "0000-00000501", "A header or parameter you provided implies functionality that is not implemented.", "Header", what)
}

func methodNotAllowed(method string) *failure {
	return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "0016-00000605", "The specified method is not allowed against this resource.", "Method", method)
}

// asFailure makes an error document of whatever a handler returned.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*sign.Error](err); ok {
		return &failure{status: e.Status, code: e.Code, message: e.Message, ec: e.EC, detail: e.Detail}
	}
	return fail(http.StatusInternalServerError, "InternalError", "0001-00000000", "We encountered an internal error. Please try again.")
}

// answer writes the error document. A HEAD gets it in a header, because it can have no body.
func (c *call) answer(f *failure) {
	h := c.w.Header()
	for name, values := range f.header {
		h[name] = values
	}
	h.Set("X-Oss-Ec", f.ec)
	if f.status == http.StatusNotModified {
		c.writeHeader(f.status)
		return
	}
	var x xmlWriter
	x.begin("Error")
	x.text("Code", f.code)
	x.text("Message", f.message)
	x.text("RequestId", c.id)
	x.text("HostId", c.r.Host)
	for _, d := range f.detail {
		x.text(d[0], d[1])
	}
	if f.ec != "" {
		x.text("EC", f.ec)
		x.text("RecommendDoc", "https://api.aliyun.com/troubleshoot?q="+f.ec)
	}
	x.end("Error")
	if c.r.Method == http.MethodHead {
		h.Set("X-Oss-Err", base64.StdEncoding.EncodeToString(x.bytes()))
		h.Set("Content-Length", "0")
		c.writeHeader(f.status)
		return
	}
	c.writeXML(f.status, &x)
}

// isNull reports whether a versionId means the one version that an object has here.
func isNull(version string) bool { return version == "" || strings.EqualFold(version, "null") }
