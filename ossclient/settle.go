package ossclient

import (
	"context"
	"errors"
	"io"

	"github.com/ossfs/ossfs/ossclient/crc"
)

// appendedSum is the checksum the object will have after an append.
func (b *Bucket) appendedSum(op operation, p AppendRequest) (uint64, error) {
	d := crc.Digest{}
	n, err := io.Copy(&d, io.NewSectionReader(p.Body, 0, p.Size))
	if err == nil && n < p.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		e := b.newError(&request{op: op, key: p.Key}, err)
		e.Kind = ErrInvalid
		return 0, e
	}
	return crc.Combine(p.Before, d.Sum64(), p.Size), nil
}

// settleAppend finds out whether an append whose answer was lost has happened.
func (b *Bucket) settleAppend(r *request, want AppendResult) func(context.Context, *failure) (bool, error) {
	return func(ctx context.Context, _ *failure) (bool, error) {
		o, err := b.Head(ctx, r.key)
		switch {
		case errors.Is(err, ErrNotExist):
			return false, nil
		case err != nil:
			return false, err
		}
		return o.Size == want.Next && o.HasCRC64 && o.CRC64 == want.CRC64, nil
	}
}
