// Package ossclient talks to Alibaba Cloud OSS, and is the only package that does.
//
// It owns requests, signatures, endpoints, connections, retries, checksums and the errors of the
// service. A [Bucket] is one bucket; its methods take a context first and are safe for concurrent use.
// Where credentials come from is package credentials' matter, behind [Credentials].
//
// Words: a [Key] names an object, an [ETag] names the bytes of one version of it, a [Version] is
// both together with the size. [Metadata] is what a client may store beside an object's bytes. A
// request is one call of a method; it takes one or more attempts, each of them one HTTP request. The
// answer to an attempt is lost when the connection ended, or the service failed, before it told whether
// the request had its effect.
//
// Every error that leaves the package is an [*Error]; callers ask errors.Is for one of the kinds
// ([ErrNotExist], [ErrThrottled], ...) and never look at statuses, codes or messages. Retrying is
// done here and in no other package:
//
//   - A request is repeated within a budget of time, after a random part of a wait that doubles, and
//     not before the server's Retry-After. What no repetition cures is not repeated.
//   - Being throttled halves how many requests the whole Bucket has under way; answers raise it again
//     by one a round.
//   - The first byte of a HEAD, GET or LIST that is later than 99 of 100 before it is raced by a second
//     request, for at most 2 per cent of them.
//   - A body that breaks off goes on at the byte where it broke, with If-Match.
//   - A request that must not have its effect twice (append, complete, initiate, exclusive puts and
//     copies) looks what became of its lost attempt.
//   - An attempt is given up when its answer is later than its operation allows, or when it moves no
//     byte for 20 s. A caller's context ends it at once.
//   - The CRC-64 of every put, part and append is compared with what OSS stored, that of every whole
//     object with what was read.
//
// Locks are leaves: none is held while another is taken, except a race's, which may take its
// watches', the gate's and the alarm's, and a watch's, which may take the alarm's; none is held across a
// request. Goroutines: net/http's own, two for each connection of requests that are not written at once; what
// the alarm calls; and the second of two requests in a race, which [Bucket.Close] waits for.
//
// It never logs or returns a secret, a token, a signature or a signed URL; [Bucket.SignURL]'s result
// alone is one.
package ossclient
