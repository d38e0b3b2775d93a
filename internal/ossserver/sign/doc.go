// Package sign checks the signatures of requests to OSS: V1, V2 and V4, in the Authorization header or in the
// query, with permanent or temporary (STS) keys.
//
// The algorithms are those of
// https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4 and
// https://help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls (V4),
// https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header (V1).
// The form of V2's header is told in https://help.aliyun.com/en/oss/user-guide/0002-00000108; what it signs is what
// Alibaba's first generation of SDKs signs.
//
// The package never writes or logs a secret; what an [*Error] shows is what OSS itself shows: the string
// that was signed, without the key.
package sign
