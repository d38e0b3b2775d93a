package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// reply is a whole answer of a service.
type reply struct {
	status int
	body   []byte
	skew   time.Duration // how far the service's clock is ahead of ours; 0 when it did not say
}

// do sends one request. Its errors name the service and neither the query nor the user of its URL,
// which may be secrets, nor anything of a header or body.
func do(ctx context.Context, client *http.Client, req *http.Request) (reply, error) {
	where := placeOf(req.URL)
	res, err := client.Do(req.WithContext(ctx))
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its text without the URL
		}
		return reply{}, &failure{why: "asking " + where, temporary: true, err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, &failure{why: "reading the answer of " + where, temporary: true, err: err}
	case len(body) > maxAnswer:
		return reply{}, &failure{why: fmt.Sprintf("%s answered with more than %d bytes", where, maxAnswer)}
	}
	r := reply{status: res.StatusCode, body: body}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		r.skew = time.Until(date)
	}
	return r, nil
}

// placeOf is a URL as it may be shown.
func placeOf(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// passing reports whether a status is one that passes by itself.
func passing(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// localExpiry turns a service's time into one of this machine's clock. A clock that is a few seconds
// off, or a service that says no date, changes nothing.
func localExpiry(expires time.Time, skew time.Duration) time.Time {
	if expires.IsZero() || skew.Abs() < 30*time.Second {
		return expires
	}
	return expires.Add(-skew)
}
