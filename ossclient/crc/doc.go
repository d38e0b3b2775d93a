// Package crc computes CRC-64/ECMA-182 as OSS does (x-oss-hash-crc64ecma), faster than hash/crc64.
//
// The checksums are those of hash/crc64 with its ECMA table: reflected, initially all ones, inverted at
// the end. [Combine] joins the checksums of two pieces into that of the whole without their bytes.
package crc
