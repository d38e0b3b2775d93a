package ossclient

import (
	"context"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// appendedSum is the checksum the object will have after an append.
func (b *Bucket) appendedSum(op operation, p AppendRequest) (uint64, error) {
	sum, err := checksum(p.Body, p.Size)
	if err != nil {
		e := b.newError(&request{op: op, key: p.Key}, err)
		e.Kind = ErrInvalid
		return 0, e
	}
	return crc.Combine(p.Before, sum, p.Size), nil
}

// checksum reads a content once.
func checksum(r io.ReaderAt, size int64) (uint64, error) {
	var d crc.Digest
	n, err := io.Copy(&d, io.NewSectionReader(r, 0, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return d.Sum64(), err
}

// settleAppend finds out whether an append whose answer was lost has happened: then the object ends
// where the next append would begin, with the checksum of both.
func (b *Bucket) settleAppend(key Key, want AppendResult) func(context.Context, *failure) bool {
	return func(ctx context.Context, _ *failure) bool {
		o, err := b.Head(ctx, key)
		return err == nil && o.Size == want.Next && o.HasCRC64 && o.CRC64 == want.CRC64
	}
}

// settlePut finds out whether an exclusive PutObject that now meets an object met its own: the same
// bytes and the same metadata.
func (b *Bucket) settlePut(p PutRequest, result *PutResult) func(context.Context, *failure) bool {
	if !p.NoOverwrite {
		return nil // replacing an object by itself is harmless
	}
	return func(ctx context.Context, f *failure) bool {
		if f.err.Kind != ErrExist {
			return false
		}
		sum, err := checksum(p.Body, p.Size)
		if err != nil {
			return false
		}
		o, err := b.Head(ctx, p.Key)
		if err != nil || o.Size != p.Size || !o.HasCRC64 || o.CRC64 != sum || !maps.Equal(o.Metadata.User, lowerNames(p.Metadata.User)) {
			return false
		}
		*result = putResultOfObject(o)
		return true
	}
}

// lowerNames is user metadata as an answer shows it.
func lowerNames(m map[string]string) map[string]string {
	lower := make(map[string]string, len(m))
	for name, value := range m {
		lower[strings.ToLower(name)] = value
	}
	return lower
}

// settleComplete finds out whether a CompleteMultipartUpload whose upload is gone has made its object:
// it has the size and checksum of the parts; where the parts' checksums are not known, it is younger
// than the request instead.
func (b *Bucket) settleComplete(key Key, x expectation, result *PutResult) func(context.Context, *failure) bool {
	begun := b.now().Truncate(time.Second)
	return func(ctx context.Context, f *failure) bool {
		if f.err.Code != "NoSuchUpload" && f.err.Kind != ErrExist {
			return false
		}
		o, err := b.Head(ctx, key)
		switch {
		case err != nil || o.Size != x.size:
			return false
		case x.known && o.HasCRC64 && o.CRC64 != x.sum:
			return false
		case !x.known && o.LastModified.Before(begun):
			return false
		}
		*result = putResultOfObject(o)
		return true
	}
}

func putResultOfObject(o Object) PutResult {
	return PutResult{Version: o.Version, Date: o.LastModified, CRC64: o.CRC64, VersionID: o.VersionID}
}

// settleCopy finds out whether an exclusive CopyObject that now meets an object met its own: the copy
// of a source has the source's ETag, and it is younger than the request.
func (b *Bucket) settleCopy(c CopyRequest, result *CopyResult) func(context.Context, *failure) bool {
	if !c.NoOverwrite {
		return nil
	}
	begun := b.now().Truncate(time.Second)
	return func(ctx context.Context, f *failure) bool {
		if f.err.Kind != ErrExist {
			return false
		}
		o, err := b.Head(ctx, c.Key)
		if err != nil || o.Size != c.Source.Size || c.Source.ETag != "" && o.ETag != c.Source.ETag || o.LastModified.Before(begun) {
			return false
		}
		*result = CopyResult{Version: o.Version, LastModified: o.LastModified, CRC64: o.CRC64, HasCRC64: o.HasCRC64}
		return true
	}
}

// settleInitiate says that an InitiateMultipartUpload whose answer was lost may have begun an upload. Another is begun:
// nothing tells the lost one from those that others, or this very program, have begun for the same key, and whoever took
// over one of them would lose its parts with it.
func settleInitiate(doubt func()) func(context.Context, *failure) bool {
	return func(_ context.Context, f *failure) bool {
		if f.ambiguous && doubt != nil {
			doubt()
		}
		return false
	}
}
