package ossclient

import (
	"net/http"
	"strings"
)

// class is what an error code of OSS means to us.
type class struct {
	kind     error
	retry    bool // it may pass by itself
	throttle bool // OSS asks all of us to slow down
}

// classOf is the table from OSS's error code, or the status when the code is unknown, to a kind
// (https://help.aliyun.com/en/oss/support/http-status-code). Its test has a row for each code.
func classOf(status int, code string) class {
	if c, ok := classOfCode(code); ok {
		return c
	}
	return classOfStatus(status)
}

func classOfCode(code string) (class, bool) {
	switch code {
	case "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NoSuchKeyInArchive":
		return class{kind: ErrNotExist}, true
	case "FileAlreadyExists", "ObjectAlreadyExists", "BucketAlreadyExists":
		return class{kind: ErrExist}, true
	case "PreconditionFailed", "NotModified":
		return class{kind: ErrPrecondition}, true
	case "InvalidObjectState":
		return class{kind: ErrArchived}, true
	case "InvalidRange":
		return class{kind: ErrRange}, true
	case "ObjectNotAppendable", "PositionNotEqualToLength":
		return class{kind: ErrNotAppendable}, true
	case "NotImplemented", "MethodNotAllowed", "OperationNotSupported", "FileImmutable", "NotSymlink", "ObjectNotSymlink":
		return class{kind: ErrUnsupported}, true
	case "QuotaExceeded", "StorageCapacityExceeded", "UserDisable", "TooManyBuckets":
		return class{kind: ErrQuota}, true
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "SecurityTokenExpired",
		"InvalidSecurityToken", "AccountNotActive", "KmsServiceNotEnabled", "SecurityTokenNotSupported":
		return class{kind: ErrPermission}, true
	case "InvalidDigest", "BadDigest", "InvalidCrc64", "CrcMismatch":
		return class{kind: ErrCorrupt, retry: true}, true
	case "RequestTimeout", "InternalError", "RequestTimeoutError", "ServiceTimeout", "GatewayTimeout", "IncompleteBody",
		"RequestIsNotMultiPartContent":
		return class{kind: ErrUnavailable, retry: true}, true
	case "RestoreAlreadyInProgress":
		return class{kind: ErrExist}, true
	}
	if strings.Contains(code, "LimitExceeded") || code == "ServiceUnavailable" || code == "SlowDown" || code == "Busy" ||
		code == "ServerBusy" || code == "Throttling" || strings.HasPrefix(code, "Throttling.") || code == "TooManyRequests" {
		return class{kind: ErrThrottled, retry: true, throttle: true}, true
	}
	return class{}, false
}

func classOfStatus(status int) class {
	switch status {
	case http.StatusNotModified, http.StatusPreconditionFailed:
		return class{kind: ErrPrecondition}
	case http.StatusUnauthorized, http.StatusForbidden:
		return class{kind: ErrPermission}
	case http.StatusNotFound, http.StatusGone:
		return class{kind: ErrNotExist}
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return class{kind: ErrUnsupported}
	case http.StatusConflict:
		return class{kind: ErrExist}
	case http.StatusRequestedRangeNotSatisfiable:
		return class{kind: ErrRange}
	case http.StatusRequestTimeout:
		return class{kind: ErrUnavailable, retry: true}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return class{kind: ErrThrottled, retry: true, throttle: true}
	}
	if status >= 500 || status < 400 {
		return class{kind: ErrUnavailable, retry: status >= 500}
	}
	return class{kind: ErrInvalid}
}
