package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/ossfs/ossfs/cache/stream"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// errnoRow is one line of the table below.
type errnoRow struct {
	kind  error
	errno syscall.Errno
}

// errnoTable gives each kind of failure the number that the program sees. Its test fails for a kind
// without a row.
func errnoTable() []errnoRow {
	return []errnoRow{
		// Of cache/stream and writeback; they come first, for they wrap kinds below.
		{stream.ErrStale, syscall.ESTALE},
		{writeback.ErrLost, syscall.EIO},
		{ossclient.ErrNotExist, syscall.ENOENT},
		{ossclient.ErrExist, syscall.EEXIST},
		{ossclient.ErrPermission, syscall.EACCES},
		{ossclient.ErrInvalid, syscall.EINVAL},
		{ossclient.ErrPrecondition, syscall.ESTALE},
		{ossclient.ErrArchived, syscall.ENODATA},
		{ossclient.ErrRange, syscall.EIO},
		{ossclient.ErrQuota, syscall.EDQUOT},
		{ossclient.ErrNotAppendable, syscall.EIO},
		{ossclient.ErrUnsupported, syscall.EOPNOTSUPP},
		{ossclient.ErrCredentials, syscall.EACCES},
		{ossclient.ErrCorrupt, syscall.EIO},
		{ossclient.ErrThrottled, syscall.ETIMEDOUT},
		{ossclient.ErrUnavailable, syscall.ETIMEDOUT},
		{ossclient.ErrCanceled, syscall.EINTR},
	}
}

// errno is what the program gets for err; 0 for nil. An *ossclient.Error counts by its kind, whatever
// network errno lies below it; any other error that carries an errno (of the local disk, or one that a
// package here chose) gives that one; EIO stands for the rest.
func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return syscall.ETIMEDOUT
	}
	var request *ossclient.Error
	var number syscall.Errno
	if !errors.As(err, &request) && errors.As(err, &number) {
		return number
	}
	for _, row := range errnoTable() {
		if errors.Is(err, row.kind) {
			return row.errno
		}
	}
	if errors.Is(err, context.Canceled) {
		return syscall.EINTR
	}
	return syscall.EIO
}

// expected tells the answers that programs cause every day from the failures that a log should keep.
func expected(e syscall.Errno) bool {
	switch e {
	case 0, syscall.ENOENT, syscall.EEXIST, syscall.EINTR, syscall.ENOTEMPTY, syscall.EISDIR, syscall.ENOTDIR,
		syscall.EINVAL, syscall.ENAMETOOLONG, syscall.EROFS, syscall.EOPNOTSUPP, syscall.ENOSPC, syscall.ERANGE,
		syscall.EPERM, syscall.ENXIO, syscall.ENODATA, syscall.EFBIG:
		return true
	}
	return false
}
