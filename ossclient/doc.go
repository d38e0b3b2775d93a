// Package ossclient talks to Alibaba Cloud OSS, and is the only package that does.
//
// It owns requests, signatures, credentials, endpoints, retries, checksums and the errors of the
// service. A [Bucket] is one bucket seen through one [Client]; its methods take a context first and
// are safe for concurrent use.
//
// Words: a [Key] names an object, an [ETag] names the bytes of one version of it, a [Version] is
// both together with the size. [Metadata] is what a client may store beside an object's bytes.
//
// Every error that leaves the package is an [*Error]; callers ask errors.Is for one of the kinds
// ([ErrNotExist], [ErrThrottled], ...) and never look at statuses, codes or messages. Retrying is
// done here and in no other package.
package ossclient
