package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// maxAnswer bounds one answer: the other side may be another user's.
const maxAnswer = 16 << 20 // bytes

// Client speaks to one mount.
type Client struct {
	http *http.Client
}

// NewClient speaks to the mount behind a socket. It connects with the first request; Close it.
func NewClient(socket string) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) },
	}}}
}

// IsGone reports whether a call failed because nobody listens on the socket any more: the process has died.
func IsGone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status is the mount's status, as JSON.
func (c *Client) Status(ctx context.Context) (json.RawMessage, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/status", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// Flush waits until the bucket has all below path ("" for the whole mount).
func (c *Client) Flush(ctx context.Context, path string, report func(Progress)) (Result, error) {
	return c.stream(ctx, "/v1/flush?path="+url.QueryEscape(path), nil, callbacks{report: report})
}

// Refresh forgets what was listed below path.
func (c *Client) Refresh(ctx context.Context, path string) error {
	_, err := c.stream(ctx, "/v1/refresh?path="+url.QueryEscape(path), nil, callbacks{})
	return err
}

// Unmount sends what is staged and unmounts. The mount's process ends soon after the answer.
func (c *Client) Unmount(ctx context.Context, req UnmountRequest, report func(Progress)) (Result, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return Result{}, err
	}
	return c.stream(ctx, "/v1/unmount", body, callbacks{report: report})
}

// Leave has the mount send what is staged, calls unmount when it is to be taken away, and waits for the end of what came in
// between. An error of unmount ends the call, and leaves the mount as it is.
func (c *Client) Leave(ctx context.Context, req LeaveRequest, unmount func() error, report func(Progress)) (Result, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return Result{}, err
	}
	return c.stream(ctx, "/v1/leave", body, callbacks{report: report, ready: unmount})
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://ossfs"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
}

// callbacks are what is done with an answer's lines before the last. Where a func is nil there are none of its kind.
type callbacks struct {
	report func(Progress)
	ready  func() error
}

func (c *Client) stream(ctx context.Context, path string, body []byte, on callbacks) (Result, error) {
	resp, err := c.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	for {
		var answer line
		if err := decoder.Decode(&answer); err != nil {
			if ctx.Err() != nil {
				return Result{}, ctx.Err()
			}
			return Result{}, fmt.Errorf("the mount's process ended before it answered: %w", err)
		}
		switch {
		case answer.Failure != nil:
			return Result{}, answer.Failure
		case answer.Result != nil:
			return *answer.Result, nil
		case answer.Progress != nil:
			on.report(*answer.Progress)
		case answer.Ready:
			if err := on.ready(); err != nil {
				return Result{}, err
			}
		}
	}
}
