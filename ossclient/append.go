package ossclient

import (
	"context"
	"io"
	"net/http"
	"strconv"
)

// AppendRequest adds bytes to the end of an appendable object, which the first append makes.
type AppendRequest struct {
	Key      Key
	Position int64       // where the bytes go: the object's size
	Before   uint64      // CRC-64 of the object so far; 0 at position 0
	Body     io.ReaderAt // not read any more once Append has returned
	Size     int64
	Metadata Metadata      // used when Position is 0
	Options  ObjectOptions // used when Position is 0
}

// AppendResult is the object after an append.
type AppendResult struct {
	Next  int64  // where the next append goes: the object's size
	CRC64 uint64 // of the whole object
}

// Append adds bytes to an appendable object (AppendObject). ErrNotAppendable: the object is of another
// type, or its size is not Position. When the answer is lost it finds out whether the bytes arrived.
func (b *Bucket) Append(ctx context.Context, p AppendRequest) (AppendResult, error) {
	op := opAppend
	if err := b.checkKey(op, p.Key); err != nil {
		return AppendResult{}, err
	}
	if p.Size < 0 || p.Size > maxPut || p.Position < 0 {
		return AppendResult{}, b.invalid(op, p.Key, "one AppendObject adds at most 5 GiB")
	}
	h := make(http.Header, 16)
	if p.Position == 0 {
		if err := setMetadata(h, p.Metadata); err != nil {
			return AppendResult{}, b.invalid(op, p.Key, err.Error())
		}
		setOptions(h, p.Options)
	}
	want, err := b.appendedSum(op, p)
	if err != nil {
		return AppendResult{}, err
	}
	result := AppendResult{Next: p.Position + p.Size, CRC64: want}
	r := &request{op: op, key: p.Key, header: h, body: content{reader: p.Body, size: p.Size}}
	r.params = []param{{"append", ""}, {"position", strconv.FormatInt(p.Position, 10)}}
	r.accept = func(a *answer) error {
		if got, ok := crcOf(a.header); ok && got != want {
			b.counters.corrupt.Add(1)
			return b.corrupt(r, &corruption{"object", got, want})
		}
		return nil
	}
	r.settle = b.settleAppend(p.Key, result)
	if _, err = b.do(ctx, r); err != nil {
		return AppendResult{}, err
	}
	return result, nil
}
