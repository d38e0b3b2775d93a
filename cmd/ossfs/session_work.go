package main

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/control"
	"github.com/ossfs/ossfs/writeback"
)

// flush returns when the bucket has all below path. What stays unsent is a result, not an error.
func (x *session) flush(ctx context.Context, path string, report func(control.Progress)) (control.Result, error) {
	err := x.mount.Flush(ctx, path, func(p writeback.Progress) {
		report(control.Progress{
			Files: p.Entries - p.DoneEntries, TotalFiles: p.Entries, Bytes: p.Bytes - p.DoneBytes, TotalBytes: p.Bytes,
			Failed: int64(p.Failed),
		})
	})
	var left *writeback.Unsent
	switch {
	case errors.As(err, &left):
		result := x.unsent()
		result.Unsent = max(result.Unsent, int64(left.Count))
		if left.Err != nil {
			result.Reason = oneLine(left.Err.Error())
		}
		return result, nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return x.unsent(), failf("what was written last is not closed yet: the disk of state directory %s is full: free some space", x.dir)
	case err != nil:
		return x.unsent(), err
	}
	return control.Result{}, nil
}

// unsent is what would be left if the session ended now.
func (x *session) unsent() control.Result {
	w := x.mount.Status().Writeback
	result := control.Result{Unsent: int64(w.Waiting + w.Sending + w.Failed), UnsentBytes: w.Bytes}
	if len(w.Failures) > 0 && w.Failures[0].Err != nil {
		result.Reason = oneLine(w.Failures[0].Err.Error())
	}
	return result
}
