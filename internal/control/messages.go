package control

import (
	"context"
	"fmt"
	"time"
)

// Progress is how far a flush is.
type Progress struct {
	Files      int64 `json:"files"`      // still to be sent
	Bytes      int64 `json:"bytes"`      // still to be sent
	TotalFiles int64 `json:"totalFiles"` // that were to be sent when it began, and came since
	TotalBytes int64 `json:"totalBytes"`
	Failed     int64 `json:"failed"` // that cannot be sent now
}

// Result is how a flush or an unmount ended. Unsent work is kept, and sent by the next mount.
type Result struct {
	Unsent      int64  `json:"unsent"`      // files
	UnsentBytes int64  `json:"unsentBytes"` // bytes
	Reason      string `json:"reason,omitempty"`
}

// Kind says which failure a Failure is, for callers that act on it.
type Kind string

// The kinds of failure.
const (
	KindBusy   Kind = "busy"   // the mount is in use
	KindOther  Kind = "other"  // anything else: the text says it
	KindCancel Kind = "cancel" // the caller went away
)

// Failure is an error that crossed the socket.
type Failure struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

func (f *Failure) Error() string { return f.Text }

// UnmountRequest says how to unmount.
type UnmountRequest struct {
	Lazy bool `json:"lazy"` // detach though it is in use
	Now  bool `json:"now"`  // do not wait for what is unsent: the next mount sends it
}

// LeaveRequest says how to end a mount that the caller takes away itself.
type LeaveRequest struct {
	Now bool `json:"now"` // do not wait for what is unsent: the next mount sends it
}

// line is one line of an answer that takes time. One field is set.
type line struct {
	Progress *Progress `json:"progress,omitempty"`
	Ready    bool      `json:"ready,omitempty"` // the caller is to unmount now
	Result   *Result   `json:"result,omitempty"`
	Failure  *Failure  `json:"failure,omitempty"`
}

// Handler is what a mount does for those who call it. Its methods are called concurrently; their
// contexts end when the caller goes away.
type Handler interface {
	Status(ctx context.Context) (any, error) // what json.Marshal takes
	Flush(ctx context.Context, path string, report func(Progress)) (Result, error)
	Refresh(ctx context.Context, path string) error
	Unmount(ctx context.Context, req UnmountRequest, report func(Progress)) (Result, error)

	// Leave is an Unmount whose caller unmounts: ready tells it to, when all is sent or need not be waited for.
	Leave(ctx context.Context, req LeaveRequest, ready func(), report func(Progress)) (Result, error)
}

// Entry is a mount as it is registered.
type Entry struct {
	PID        int       `json:"pid"`
	Source     string    `json:"source"`     // oss://bucket/prefix
	Mountpoint string    `json:"mountpoint"` // absolute, without symbolic links
	StateDir   string    `json:"stateDir"`
	Socket     string    `json:"socket"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
}

func (e Entry) String() string {
	return fmt.Sprintf("%s on %s (pid %d)", e.Source, e.Mountpoint, e.PID)
}
