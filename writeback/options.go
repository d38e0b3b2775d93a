package writeback

import (
	"context"
	"iter"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk"
)

// Key names an object; a directory's ends with "/".
type Key = ossclient.Key

// Bucket is what writeback asks of OSS; *ossclient.Bucket is one.
type Bucket interface {
	Objects
	Uploads
}

// Objects are the requests for whole objects.
type Objects interface {
	Head(ctx context.Context, key Key) (ossclient.Object, error)
	Get(ctx context.Context, g ossclient.GetRequest) (*ossclient.Body, error)
	Put(ctx context.Context, p ossclient.PutRequest) (ossclient.PutResult, error)
	Copy(ctx context.Context, c ossclient.CopyRequest) (ossclient.CopyResult, error)
	DeleteMany(ctx context.Context, keys []Key) error
	List(ctx context.Context, l ossclient.ListRequest) (ossclient.Page, error)
}

// Uploads are the requests of multipart uploads.
type Uploads interface {
	CreateUpload(ctx context.Context, u ossclient.UploadRequest) (ossclient.UploadID, error)
	UploadPart(ctx context.Context, p ossclient.PartRequest) (ossclient.Part, error)
	CopyPart(ctx context.Context, c ossclient.CopyPartRequest) (ossclient.Part, error)
	CompleteUpload(ctx context.Context, c ossclient.CompleteRequest) (ossclient.PutResult, error)
	AbortUpload(ctx context.Context, key Key, id ossclient.UploadID) error
	ListParts(ctx context.Context, key Key, id ossclient.UploadID) ([]ossclient.Part, error)
	ListUploads(ctx context.Context, prefix Key) iter.Seq2[ossclient.Upload, error]
	Now() time.Time // by OSS's clock
}

var _ Bucket = (*ossclient.Bucket)(nil)

// Conflict says what becomes of a change whose object was changed by somebody else meanwhile.
type Conflict uint8

// The ways to treat a lost update.
const (
	// KeepBoth leaves the bucket's object and stores ours beside it, as name.conflict-HOST-TIME.
	KeepBoth Conflict = iota
	// Overwrite does not look, but after a loss of power: an older state must not take the place of a newer one.
	Overwrite
	// Fail keeps ours staged and reports it as failed.
	Fail
)

// Options are how a Store works. Dir (or Disk) and Bucket are required.
type Options struct {
	Dir    string // holds lock, journal/ and staged/
	Bucket Bucket

	Delay        time.Duration // how long after the last close an upload starts
	WriteThrough bool          // File.Commit uploads and returns the outcome
	SinglePut    int64         // up to this size a file is one PutObject; bytes, 0: 16 MiB
	StageBudget  int64         // bytes staged at most before writers wait; 0: 80 % of what the disk has free
	Young        time.Duration // the age up to which a part that was sent leaves the stage at once; 0: 5 s
	Memory       *budget.Budget
	OnConflict   Conflict
	Believe      time.Duration // how long a removal holds for whatever the bucket has: what is deleted later is looked at first
	Host         string        // in the names of conflicting versions; empty: the host's name
	NewObjects   ossclient.ObjectOptions
	LocalFsync   bool // Sync means the local disk

	Confirmed func(Confirmation) // told of each state the bucket has, no lock held, before the entry leaves the overlay
	Forget    func()             // called before the journal forgets what was confirmed: what Confirmed was told is to be kept by now
	// Beside is told, no lock held, that a File has lost its Key by no rename that its users know of; File.Key says where it is. Bytes that were not
	// written here may be others than they were (true), as another client has changed the object that the File is made of.
	Beside func(Key, *File, bool)
	Logger *slog.Logger
	Disk   disk.FS // nil: the directory Dir

	partFirst int64 // bytes of the first parts; tests make it small
	cell      int64 // bytes; of what an edit sends, the least
	smallMost int64 // bytes of small content; negative: every content has a staged file
}

// directoryFactor is how many times the delay a directory rests unchanged before its object is stored.
// Programs that copy trees (rsync, tar, cp -a) make a directory first and give it its times when all
// that is in it is there; other clients see the files without it.
const directoryFactor = 30

// rest is how long a state rests unchanged before it is sent.
func (o Options) rest(e *entry) time.Duration {
	if e.kind != Absent && strings.HasSuffix(string(e.key), "/") {
		return o.Delay * directoryFactor
	}
	return o.Delay
}

func (o Options) withDefaults() (Options, error) {
	if o.SinglePut <= 0 {
		o.SinglePut = 16 << 20
	}
	if o.partFirst == 0 {
		o.partFirst, o.cell = partFirst, editCell
	}
	if o.smallMost == 0 {
		o.smallMost = smallMost
	}
	o.smallMost = min(o.smallMost, o.SinglePut)
	if o.Young == 0 {
		o.Young = youngFor
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname() // only part of a name
	}
	if o.Confirmed == nil {
		o.Confirmed = func(Confirmation) {}
	}
	if o.Beside == nil {
		o.Beside = func(Key, *File, bool) {}
	}
	if o.Forget == nil {
		o.Forget = func() {}
	}
	if o.Disk == nil {
		d, err := disk.OS(o.Dir)
		if err != nil {
			return o, err
		}
		o.Disk = d
	}
	if o.StageBudget <= 0 {
		free, err := o.Disk.Free()
		if err != nil {
			return o, err
		}
		o.StageBudget = free / 5 * 4
	}
	o.SinglePut = min(o.SinglePut, max(o.StageBudget/4, o.partFirst/8)) // files that do not fit must be streamed
	return o, nil
}
