// Package doctor finds out, within ten seconds, why a bucket cannot be mounted or is slow, and what to
// change.
//
// A [Check] is one question with its answer: its name, an [Outcome], what was found, and the cure. [Run]
// asks them in an order in which each failure explains those that follow: this machine, the credentials,
// the way to the endpoint, the bucket, what may be done in it, how fast it is. What a failure makes
// pointless is skipped and says so.
//
// Everything that Run writes lies below one unique name in the prefix, and is removed before it
// returns, even when its context has ended. What it finds holds no secret.
package doctor
