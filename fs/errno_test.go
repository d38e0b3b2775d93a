package fs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// A kind that is added to ossclient needs a row here.
func TestErrnoHasARowForEachKind(t *testing.T) {
	rows := make(map[error]int)
	for _, row := range errnoTable() {
		rows[row.kind]++
	}
	for _, kind := range ossclient.Kinds() {
		if rows[kind] != 1 {
			t.Errorf("%v: got %d rows, want 1", kind, rows[kind])
		}
	}
}

func TestErrno(t *testing.T) {
	refused := &ossclient.Error{Op: "GetObject", Kind: ossclient.ErrUnavailable, Err: syscall.ECONNREFUSED}
	tests := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"nothing", nil, 0},
		{"a kind", fmt.Errorf("reading: %w", ossclient.ErrArchived), syscall.ENODATA},
		{"a request by its kind, not by the network's errno", refused, syscall.ETIMEDOUT},
		{"the local disk", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{"an errno that a package chose", fmt.Errorf("name: %w", syscall.ENAMETOOLONG), syscall.ENAMETOOLONG},
		{"io/fs", fs.ErrNotExist, syscall.ENOENT},
		{"an interrupted call", context.Canceled, syscall.EINTR},
		{"an interrupted request", &ossclient.Error{Kind: ossclient.ErrCanceled, Err: context.Canceled}, syscall.EINTR},
		{"a deadline", &ossclient.Error{Kind: ossclient.ErrCanceled, Err: context.DeadlineExceeded}, syscall.ETIMEDOUT},
		{"anything else", errors.New("surprise"), syscall.EIO},
	}
	for _, tt := range tests {
		if got := errno(tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
