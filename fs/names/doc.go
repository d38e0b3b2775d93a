// Package names is the one-to-one mapping between the components of keys and the names of files, and
// the only package that knows what "/" means in a key.
//
// A component is what stands between two slashes of a key. A name is what the kernel hands over: 1 to
// 255 bytes without "/" and NUL, and neither "." nor "..". A directory is a key that ends with "/", a
// file one that does not. A component that is also a name, and UTF-8, is shown exactly as it is. The
// mapping depends on nothing but the component and whether it stands at the top of the bucket; it is
// stable for ever, because people keep names in scripts and in other backups.
//
// # What is shown otherwise
//
// Five forms are reserved. PAYLOAD is the component (or name) with "%", NUL, "/" and bytes that are not
// UTF-8 written as %XX, upper case, and everything else as it is. HASH is 32 characters of SHA-256 in
// base32, HEAD as much of the payload as fits.
//
//	%oss:key=PAYLOAD             a component that cannot be a name: empty, ".", "..", with a NUL, ...
//	%oss:file=PAYLOAD            the file "a" where a directory "a/" is, too; the directory keeps the name
//	%oss:long=HASH=HEAD          as key=, for what does not fit into 255 bytes
//	%oss:longfile=HASH=HEAD      as file=, for what does not fit into 255 bytes
//	%oss:content                 in a directory whose own object "dir/" has content: that content
//
// A sixth form stands in keys, never in names: the component %oss:bytes=PAYLOAD is the file whose name
// is PAYLOAD: a name that is not UTF-8, or one that begins with "\" at the top of the bucket, where OSS
// takes neither "/" nor "\".
//
// A long component is not cut into nested directories, though that would be reversible by itself: such
// directories have no key, and each operation on one would be a special case that could lose files. The
// short form is reversible without memory all the same, for HEAD is a prefix by which to list, and
// HASH picks the one key that is meant. Only a new file cannot be made under a short form.
//
// # Why it is one to one
//
// Call a component plain if it is also a name, is UTF-8, and, at the top, does not begin with "\". Let
// key(c), file(c) and bytes(n) be the forms above, and say that a string is in canonical form if it is
// exactly what the form makes of something it is made for:
//
//	R  names that are file(c) or content, or key(c) for a c of S; anything that looks like a long form
//	B  components that are bytes(n) for an n of U
//	S  components made into key(c): those that are not plain, and those in R; but none of B
//	U  names made into bytes(n):    those that are not plain, and those in B; but none of R
//
// These refer to each other only through strings shorter than themselves, so they are well defined. A
// component is in B, in S or in neither; then its name is the n it is made of, key(c), or c itself. A
// name is in R, in U or in neither; then its component is the c it is made of, bytes(n), or n itself.
// The three pairs of cases are inverse to each other: B and U by definition, S and R (without the names
// of files beside directories) by definition, and what is left on both sides is the same set: plain
// strings neither in R nor in B, each standing for itself. So a name that only looks like one of the
// forms, "%oss:key=abc" say, is an ordinary one. For long forms "by definition" needs that
// no two components have the same HASH, of 160 bits.
package names
