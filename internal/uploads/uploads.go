// Package uploads finds the multipart uploads of a bucket that were begun and never ended. Their parts
// are paid for and shown in no listing; this package says how old and how large they are, and aborts them.
package uploads

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossfs/ossfs/ossclient"
)

// atOnce is how many uploads are asked about at the same time.
const atOnce = 32

// Bucket is what is needed of an *ossclient.Bucket.
type Bucket interface {
	ListUploads(ctx context.Context, prefix ossclient.Key) iter.Seq2[ossclient.Upload, error]
	ListParts(ctx context.Context, key ossclient.Key, id ossclient.UploadID) ([]ossclient.Part, error)
	AbortUpload(ctx context.Context, key ossclient.Key, id ossclient.UploadID) error
}

var _ Bucket = (*ossclient.Bucket)(nil)

// Upload is an unfinished upload.
type Upload struct {
	Key       string    `json:"key"`
	ID        string    `json:"uploadId"`
	Initiated time.Time `json:"initiated"`
	Age       float64   `json:"ageSeconds"`
	Parts     int       `json:"parts"`
	Bytes     int64     `json:"bytes"` // of all parts
	Aborted   bool      `json:"aborted,omitempty"`
	Error     string    `json:"error,omitempty"` // why its parts could not be listed, or why it was not aborted
}

// List gives the uploads below prefix that were begun at least older before now, in the order of their
// keys, with what each has of parts. An upload that ends meanwhile is left out.
func List(ctx context.Context, b Bucket, prefix ossclient.Key, older time.Duration, now time.Time) ([]Upload, error) {
	var list []Upload
	for u, err := range b.ListUploads(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if age := now.Sub(u.Initiated); age >= older {
			list = append(list, Upload{Key: string(u.Key), ID: string(u.ID), Initiated: u.Initiated, Age: age.Round(time.Second).Seconds()})
		}
	}
	gone := make([]bool, len(list))
	each(ctx, len(list), func(ctx context.Context, i int) {
		u := &list[i]
		parts, err := b.ListParts(ctx, ossclient.Key(u.Key), ossclient.UploadID(u.ID))
		switch {
		case errors.Is(err, ossclient.ErrNotExist):
			gone[i] = true
		case err != nil:
			u.Error = err.Error()
		}
		u.Parts = len(parts)
		for _, p := range parts {
			u.Bytes += p.Size
		}
	})
	left := make([]Upload, 0, len(list))
	for i, u := range list {
		if !gone[i] {
			left = append(left, u)
		}
	}
	return left, ctx.Err()
}

// Abort ends the uploads and marks each with what came of it. It goes on after a failure.
func Abort(ctx context.Context, b Bucket, list []Upload) (failed int) {
	each(ctx, len(list), func(ctx context.Context, i int) {
		u := &list[i]
		u.Error = ""
		err := b.AbortUpload(ctx, ossclient.Key(u.Key), ossclient.UploadID(u.ID))
		if err != nil && !errors.Is(err, ossclient.ErrNotExist) { // one that has just ended is ended
			u.Error = err.Error()
			return
		}
		u.Aborted = true
	})
	for i := range list {
		if !list[i].Aborted {
			failed++
			if list[i].Error == "" {
				list[i].Error = context.Cause(ctx).Error()
			}
		}
	}
	return failed
}

// each calls do for 0 to n-1, many at once, until ctx ends.
func each(ctx context.Context, n int, do func(ctx context.Context, i int)) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			do(ctx, i)
			return nil
		})
	}
	_ = g.Wait() // do keeps its errors itself
}
