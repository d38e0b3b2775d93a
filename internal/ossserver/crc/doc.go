// Package crc computes the CRC-64 that OSS keeps of every object: ECMA-182, reflected, as in
// x-oss-hash-crc64ecma (https://help.aliyun.com/en/oss/user-guide/data-verification-using-crc-64).
//
// [Update] extends a checksum by more bytes, [Combine] joins the checksums of two neighbouring pieces,
// which is how the checksum of a multipart object is made without reading it again.
package crc
