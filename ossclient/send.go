package ossclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// drainLimit is how much of an unwanted body is read so that its connection can be used again.
const drainLimit = 64 << 10

// send makes one HTTP request and hands on a 2xx answer, its body open and its watch running. begun is
// told of the watch as soon as there is one.
func (b *Bucket) send(ctx context.Context, r *request, begun func(*watch)) (*answer, *failure) {
	cred, f := b.credential(ctx, r)
	if f != nil {
		return nil, f
	}
	inner, cancel := context.WithCancelCause(ctx)
	u := &upload{content: r.body, bucket: b}
	hr := b.build(inner, r, cred, u)
	a := &answer{bucket: b, req: r, start: time.Now()}
	a.watch = newWatch(b.alarm, cancel, u, patience{b.patience.stall, min(r.op.deadline(), b.patience.answer)})
	if begun != nil {
		begun(a.watch)
	}
	resp, err := b.transport.RoundTrip(hr) // an http.Client would follow redirects, and copy headers for them
	a.firstByte = time.Since(a.start)
	var readErr error
	a.sum, a.sent, readErr = u.finish()
	if err != nil {
		f := b.unsent(ctx, a, err, readErr)
		a.watch.stop()
		return nil, f
	}
	a.watch.answered()
	a.status, a.header, a.length, a.body = resp.StatusCode, resp.Header, resp.ContentLength, resp.Body
	if a.status/100 != 2 {
		f := b.refused(ctx, r, a)
		f.retry = f.retry || b.rejected(f.err, cred)
		a.release()
		return nil, f
	}
	return a, nil
}

// unsent makes a failure of a request that got no answer; readErr is why its body could not be read,
// which is the caller's disk and not the network.
func (b *Bucket) unsent(ctx context.Context, a *answer, err, readErr error) *failure {
	if readErr == nil || ctx.Err() != nil {
		f := b.broken(ctx, a.req, withCause(a.watch, err))
		f.answer = a
		return f
	}
	e := b.newError(a.req, readErr)
	e.Kind = ErrInvalid
	return &failure{err: e, answer: a}
}

// credential asks for what to sign with; a source that fails for a moment is retried like the network.
func (b *Bucket) credential(ctx context.Context, r *request) (Credential, *failure) {
	if b.cfg.Credentials == nil {
		return Credential{}, nil
	}
	cred, err := b.cfg.Credentials.Retrieve(ctx)
	switch {
	case err == nil && (cred.ID == "") != (cred.Secret == ""):
		err = errors.New("the source gave half an access key")
	case err == nil:
		return cred, nil // the zero Credential: unsigned
	case ctx.Err() != nil:
		return cred, &failure{err: b.canceled(ctx, r, nil)}
	}
	return cred, b.noCredential(r, err)
}

// withCause replaces the error of a cancelled attempt by why the watch cancelled it.
func withCause(w *watch, err error) error {
	if cause := w.cause(); cause != nil {
		return cause
	}
	return err
}

// close ends an answer and tells the observer.
func (a *answer) close() {
	a.release()
	a.bucket.tell(a, nil, false)
}

// release ends an answer. If little of the body is left it is read in the background, so that its
// connection can be used again and the caller does not wait for it.
func (a *answer) release() {
	b, left := a.bucket, a.length-a.received
	if a.body == http.NoBody || left <= 0 || left > drainLimit {
		a.body.Close()
		a.watch.stop()
		return
	}
	b.background.Go(func() {
		a.watch.reading()
		_, _ = io.CopyN(io.Discard, a.body, left+1) // an error costs the connection alone
		a.body.Close()
		a.watch.stop()
	})
}

// tell reports an attempt.
func (b *Bucket) tell(a *answer, e *Error, final bool) {
	if b.cfg.Observer == nil {
		return
	}
	b.cfg.Observer(Event{
		Op:        a.req.op.String(),
		Key:       a.req.key,
		Attempt:   a.attempt,
		Hedge:     a.hedge,
		Status:    a.status,
		FirstByte: a.firstByte,
		Duration:  time.Since(a.start),
		Sent:      a.sent,
		Received:  a.received,
		Err:       e,
		Final:     e == nil || final,
	})
}

// tellFailure reports an attempt that failed.
func (b *Bucket) tellFailure(r *request, f *failure, n int) {
	a := f.answer
	if a == nil {
		a = &answer{req: r, start: time.Now()} // it came to no request
	}
	a.attempt = n
	b.tell(a, f.err, f.final)
}
