package ossclient

import "errors"

// StoredSum is the CRC-64 of what OSS has stored instead of what was sent, when an error of Put or CompleteUpload says so: an ErrCorrupt, or another
// in which the repetition has ended.
func StoredSum(err error) (sum uint64, known bool) {
	var c *corruption
	if !errors.As(err, &c) {
		return 0, false
	}
	return c.got, true
}
