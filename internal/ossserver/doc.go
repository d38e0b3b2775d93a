// Package ossserver is an Alibaba Cloud OSS server: for the demo, for tests and for benchmarks.
//
// It speaks OSS's REST protocol over HTTP/1.1, checks signatures, refuses what OSS refuses, and keeps what it is
// given in memory or in a directory. It shares no text with package ossclient, so that a mistake made in both
// does not hide itself. What each operation does is taken from Alibaba's pages, which the handlers name; what the
// pages leave open is decided, and said, where it is coded.
//
// A [Server] is an http.Handler. [Options] make it slow or faulty: latency, bandwidth, and [Fault]s by operation.
// Tests use package ossservertest.
//
// # What it does not do
//
// It has one owner, to whom all keys belong: no policies, no RAM. Versioning has its state, and every object one
// version, "null". Lifecycle, replication, encryption, images and the like answer 501 NotImplemented. A copy
// of an object shares its bytes and so takes no time, as within one bucket of OSS.
//
// # Packages
//
// store keeps buckets and objects, and says what a crash leaves; sign checks signatures; crc is the checksum.
// None holds a lock while a request's bytes come or go.
package ossserver
