package ossclient

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// drainLimit is how much of an unwanted body is read so that its connection can be used again.
const drainLimit = 64 << 10

// do sends a request until it succeeds, fails for good, or the budget is spent. Of an answer that
// comes back without accept having read it, the body must be closed.
func (b *Bucket) do(ctx context.Context, r *request) (*answer, error) {
	retry := newRetry(b.cfg.RetryBudget)
	for n := 1; ; n++ {
		a, f := b.attempt(ctx, r, n)
		if f == nil {
			return a, nil
		}
		wait, again := retry.next(f)
		if again && b.retriesSkew(f, n) {
			wait = 0
		}
		if again && r.settle != nil && f.ambiguous {
			done, err := r.settle(ctx, f)
			if err != nil {
				return nil, err
			}
			if done {
				return nil, nil
			}
		}
		if !again {
			b.failed(ctx, f.err)
			return nil, f.err
		}
		b.counters.retries.Add(1)
		b.log.LogAttrs(ctx, slog.LevelDebug, "request is repeated", slog.String("error", f.err.Error()), slog.Int("attempt", n), slog.Duration("wait", wait))
		if !sleep(ctx, wait) {
			return nil, b.canceled(ctx, r)
		}
	}
}

// retriesSkew corrects our clock after the server refused it.
func (b *Bucket) retriesSkew(f *failure, n int) bool {
	if !f.skewed || n > 3 {
		return false
	}
	b.skew.Store(int64(f.skew))
	return true
}

// failed logs a request that failed for good, once; what callers ask about every day (an object that
// is not there, a condition that does not hold) is no news.
func (b *Bucket) failed(ctx context.Context, e *Error) {
	switch e.Kind {
	case ErrNotExist, ErrExist, ErrPrecondition, ErrCanceled, ErrArchived:
		return
	}
	b.counters.failures.Add(1)
	b.log.LogAttrs(ctx, slog.LevelWarn, "request failed", slog.String("error", e.Error()))
}

// attempt sends a request once and judges the answer.
func (b *Bucket) attempt(ctx context.Context, r *request, n int) (*answer, *failure) {
	start := time.Now()
	b.counters.requests.Add(1)
	a, f := b.send(ctx, r)
	if f == nil && r.accept != nil {
		err := r.accept(a)
		a.body.Close()
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				f = &failure{err: e}
			} else {
				f = b.broken(ctx, r, withCause(a.watch, err))
			}
		}
		a.watch.stop()
	}
	if b.cfg.Observer != nil && (f != nil || r.accept != nil) {
		event := Event{Op: r.op.name, Key: r.key, Attempt: n, Duration: time.Since(start)}
		if f != nil {
			event.Err, event.Status, event.Final = f.err, f.err.Status, !f.retry
		}
		b.cfg.Observer(event)
	}
	if f != nil {
		return nil, f
	}
	return a, nil
}

// send makes one HTTP request and hands on a 2xx answer, its body open and its watch running.
func (b *Bucket) send(ctx context.Context, r *request) (*answer, *failure) {
	cred, f := b.credential(ctx, r)
	if f != nil {
		return nil, f
	}
	inner, cancel := context.WithCancelCause(ctx)
	u := &upload{content: r.body}
	hr := b.build(inner, r, cred, u)
	w := newWatch(cancel, u, r.op.deadline)
	resp, err := b.client.Do(hr)
	sum, sent, bodyErr := u.finish()
	b.counters.sent.Add(sent)
	if err != nil {
		err = plain(withCause(w, err))
		if bodyErr != nil {
			err = bodyErr
		}
		f := b.broken(ctx, r, err)
		if bodyErr != nil {
			f.retry = false // the caller's own disk failed, not the network
		}
		w.stop()
		return nil, f
	}
	w.answered()
	if resp.StatusCode/100 != 2 {
		f := b.refused(r, resp)
		discard(resp.Body)
		w.stop()
		return nil, f
	}
	return &answer{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, body: resp.Body, sum: sum, watch: w}, nil
}

// credential asks for what to sign with; a source that fails for a moment is retried like the network.
func (b *Bucket) credential(ctx context.Context, r *request) (Credential, *failure) {
	if b.cfg.Credentials == nil {
		return Credential{}, nil
	}
	cred, err := b.cfg.Credentials.Retrieve(ctx)
	switch {
	case err == nil && (cred.ID == "" || cred.Secret == ""):
		err = errors.New("the source gave an empty access key")
	case err == nil:
		return cred, nil
	case ctx.Err() != nil:
		return cred, &failure{err: b.canceled(ctx, r)}
	}
	e := b.newError(r, err)
	e.Kind = ErrCredentials
	return cred, &failure{err: e, retry: true, limit: shortBudget}
}

// withCause replaces the error of a cancelled attempt by why the watch cancelled it.
func withCause(w *watch, err error) error {
	if cause := w.cause(); cause != nil {
		return cause
	}
	return err
}

// plain takes off the layer in which net/http puts the URL.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// discard reads a little of a body so that the connection lives on, and closes it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, drainLimit) // an error only costs the connection
	body.Close()
}

// sleep waits, and reports false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var _ http.RoundTripper = (*http.Transport)(nil)
