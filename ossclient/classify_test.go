package ossclient

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestClassOfEachCode(t *testing.T) {
	retried := func(k error) class { return class{kind: k, retry: true} }
	throttled := class{kind: ErrThrottled, retry: true, throttle: true}
	for _, c := range []struct {
		status int
		code   string
		want   class
	}{
		{404, "NoSuchKey", class{kind: ErrNotExist}},
		{404, "NoSuchBucket", class{kind: ErrNotExist}},
		{404, "NoSuchUpload", class{kind: ErrNotExist}},
		{404, "NoSuchVersion", class{kind: ErrNotExist}},
		{409, "FileAlreadyExists", class{kind: ErrExist}},
		{409, "ObjectAlreadyExists", class{kind: ErrExist}},
		{409, "RestoreAlreadyInProgress", class{kind: ErrExist}},
		{412, "PreconditionFailed", class{kind: ErrPrecondition}},
		{304, "NotModified", class{kind: ErrPrecondition}},
		{403, "InvalidObjectState", class{kind: ErrArchived}},
		{416, "InvalidRange", class{kind: ErrRange}},
		{409, "ObjectNotAppendable", class{kind: ErrNotAppendable}},
		{409, "PositionNotEqualToLength", class{kind: ErrNotAppendable}},
		{501, "NotImplemented", class{kind: ErrUnsupported}},
		{405, "MethodNotAllowed", class{kind: ErrUnsupported}},
		{400, "OperationNotSupported", class{kind: ErrUnsupported}},
		{400, "NotSymlink", class{kind: ErrUnsupported}},
		{403, "QuotaExceeded", class{kind: ErrQuota}},
		{403, "UserDisable", class{kind: ErrQuota}},
		{403, "AccessDenied", class{kind: ErrPermission}},
		{403, "InvalidAccessKeyId", class{kind: ErrPermission}},
		{403, "SignatureDoesNotMatch", class{kind: ErrPermission}},
		{403, "RequestTimeTooSkewed", class{kind: ErrPermission}},
		{403, "SecurityTokenExpired", class{kind: ErrPermission}},
		{400, "InvalidDigest", retried(ErrCorrupt)},
		{400, "RequestTimeout", retried(ErrUnavailable)},
		{500, "InternalError", retried(ErrUnavailable)},
		{503, "ServiceUnavailable", throttled},
		{503, "QpsLimitExceeded", throttled},
		{503, "DownloadTrafficRateLimitExceeded", throttled},
		{503, "SlowDown", throttled},
		{503, "Busy", throttled},
		{429, "TooManyRequests", throttled},
		{400, "InvalidArgument", class{kind: ErrInvalid}},
		{400, "EntityTooLarge", class{kind: ErrInvalid}},
		{400, "InvalidPart", class{kind: ErrInvalid}},
		{400, "MalformedXML", class{kind: ErrInvalid}},
		{400, "InvalidBucketName", class{kind: ErrInvalid}},
		// no code: the status decides
		{200, "", class{kind: ErrUnavailable}},
		{301, "", class{kind: ErrUnavailable}},
		{304, "", class{kind: ErrPrecondition}},
		{400, "", class{kind: ErrInvalid}},
		{401, "", class{kind: ErrPermission}},
		{403, "", class{kind: ErrPermission}},
		{404, "", class{kind: ErrNotExist}},
		{405, "", class{kind: ErrUnsupported}},
		{408, "", retried(ErrUnavailable)},
		{409, "", class{kind: ErrExist}},
		{412, "", class{kind: ErrPrecondition}},
		{416, "", class{kind: ErrRange}},
		{429, "", throttled},
		{500, "", retried(ErrUnavailable)},
		{501, "", class{kind: ErrUnsupported}},
		{502, "", retried(ErrUnavailable)},
		{503, "", throttled},
		{504, "", retried(ErrUnavailable)},
		{503, "SomethingNew", throttled},
		{418, "SomethingNew", class{kind: ErrInvalid}},
	} {
		if got := classOf(c.status, c.code); got != c.want {
			t.Errorf("classOf(%d, %q): got %+v, want %+v", c.status, c.code, got, c.want)
		}
		if got := classOf(c.status, c.code); !slices.Contains(Kinds(), got.kind) {
			t.Errorf("classOf(%d, %q): its kind %v is not listed", c.status, c.code, got.kind)
		}
	}
}

func TestErrorsReadWell(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{Op: "GetObject", Bucket: "b", Key: "dir/ü x", Kind: ErrNotExist, Status: 404, Code: "NoSuchKey", EC: "0026-1", Message: "The key does not exist.\n", RequestID: "R1"},
			`GetObject oss://b/dir/ü x: file does not exist (404 NoSuchKey, EC 0026-1: The key does not exist.) [request R1]`},
		{Error{Op: "PutObject", Bucket: "b", Key: "a\nb\x1b[2J", Kind: ErrUnavailable, Err: errors.New("connection refused")},
			`PutObject oss://b/"a\nb\x1b[2J": service unavailable: connection refused`},
		{Error{Op: "ListObjectsV2", Bucket: "b", Kind: ErrUnavailable, Status: 502}, `ListObjectsV2 oss://b: service unavailable (status 502)`},
		{Error{Op: "Retrieve", Kind: ErrCredentials}, `Retrieve: no usable credentials`},
		{Error{Op: "X", Bucket: "b", Key: "k", Kind: ErrInvalid, Status: 400, Code: "C\r\nD", Message: "m\x00n"}, `X oss://b/k: invalid argument (400 "C\r\nD": "m\x00n")`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	long := Error{Op: "X", Bucket: "b", Kind: ErrInvalid, Status: 400, Code: "C", Message: strings.Repeat("x", 100_000)}
	if n := len(long.Error()); n > 2000 {
		t.Errorf("a foreign message of 100,000 bytes makes an error of %d", n)
	}
}
