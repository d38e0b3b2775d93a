// Package sign checks the signatures of requests to OSS: V1, V2 and V4, in the Authorization header or in the
// query, with permanent or temporary (STS) keys.
//
// The algorithms are those of
// https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4 and
// https://help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls (V4),
// https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header (V1).
// V2 is what the older SDKs sign when they are told to; Alibaba has withdrawn its page.
//
// The package never writes or logs a secret; what an [*Error] shows is what OSS itself shows: the string
// that was signed, without the key.
package sign
