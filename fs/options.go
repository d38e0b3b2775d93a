package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback"
)

// Options say what to mount, where and how.
type Options struct {
	Bucket     *ossclient.Bucket
	Prefix     ossclient.Key // shown as the root: "" or "a/b/"
	Source     string        // what mount(8) shows: oss://bucket/prefix
	Mountpoint string        // an existing directory
	StateDir   string        // journal, staged files, index: made when missing; nobody else may use it meanwhile

	ReadOnly     bool
	AllowOther   bool     // others than the mounting user may enter; the modes are checked in any case
	MountOptions []string // generic ones for the kernel (noatime, noexec, ...); those of mount(8) and fstab are passed over

	Defaults attr.Defaults // for what objects do not say
	TTL      time.Duration // how long what was listed is believed, here and in the kernel; 0: not at all

	WriteBack    time.Duration // from the last close to the upload
	WriteThrough bool          // close uploads
	LocalFsync   bool          // fsync means the local disk
	Memory       int64         // bytes for ranges, windows and upload buffers; 0: 512 MiB
	StageSize    int64         // bytes of staged data; 0: no limit but the disk's
	Young        time.Duration // parts of large files that are sent sooner after their first byte leave the stage then; 0: 5 s
	SinglePut    int64         // bytes: larger files are sent in parts; 0: 16 MiB
	OnConflict   writeback.Conflict
	NewObjects   ossclient.ObjectOptions
	Host         string // names the loser of a conflict; empty: the machine's name

	NoHead   bool            // attributes from listings alone
	Logger   *slog.Logger    // nil: none
	Debug    bool            // every request of the kernel in the log
	Inodes   func(most int)  // told how many inodes there are at most, each time there are thousands more than ever; may be nil
	Observer func(Operation) // hears of each request of the kernel when it is answered, in its goroutine; may be nil
}

const (
	defaultMemory = 512 << 20
	maxWrite      = 1 << 20 // bytes of a request; the kernel may cap it (max_pages_limit)
	maxBackground = 128     // requests in the background at once: read-ahead is one of them
	readAheadKB   = 1024    // of the kernel; the network's is ours
	stackDepth    = 2       // the staged file may lie on overlayfs
	kernelName    = "ossfs" // mount(8) shows fuse.ossfs
)

// complete checks what can be checked without a request, and fills in defaults.
func (o *Options) complete() error {
	if o.Bucket == nil {
		return errors.New("mount: no bucket")
	}
	if o.StateDir == "" {
		return errors.New("mount: no state directory")
	}
	if o.Prefix != "" && !strings.HasSuffix(string(o.Prefix), "/") {
		return fmt.Errorf("mount: prefix %q does not end with a slash", o.Prefix)
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Source == "" {
		o.Source = "oss://" + o.Bucket.Name() + "/" + string(o.Prefix)
	}
	abs, err := filepath.Abs(o.Mountpoint)
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	o.Mountpoint = abs
	return nil
}

// mountFlags are the generic mount options that are bits of mount(2).
func mountFlags() map[string]uintptr {
	return map[string]uintptr{
		"ro": syscall.MS_RDONLY, "nosuid": syscall.MS_NOSUID, "nodev": syscall.MS_NODEV, "noexec": syscall.MS_NOEXEC,
		"sync": syscall.MS_SYNCHRONOUS, "dirsync": syscall.MS_DIRSYNC, "noatime": syscall.MS_NOATIME,
		"nodiratime": syscall.MS_NODIRATIME, "relatime": syscall.MS_RELATIME, "strictatime": syscall.MS_STRICTATIME,
	}
}

// kernelOptions sorts the options into the bits of mount(2), which a direct mount takes, and words,
// which fusermount3 takes. Words that are mount(8)'s alone (_netdev, nofail, x-...) are passed over.
func (o *Options) kernelOptions() (flags uintptr, words []string) {
	flags = syscall.MS_NOSUID | syscall.MS_NODEV
	words = []string{"default_permissions"}
	known := mountFlags()
	add := func(word string) {
		if bit, ok := known[word]; ok {
			flags |= bit
			words = append(words, word)
		}
	}
	if o.ReadOnly {
		add("ro")
	}
	for _, word := range o.MountOptions {
		add(word)
	}
	return flags, words
}

// profile is the mount as go-fuse wants it described. direct says that we are root and call mount(2).
func (o *Options) profile(direct bool) *fusefs.Options {
	flags, words := o.kernelOptions()
	if direct { // the bits say it; the words would be refused as data
		words = []string{"default_permissions"}
	}
	ttl := o.TTL
	p := &fusefs.Options{
		AttrTimeout:     &ttl,
		EntryTimeout:    &ttl,
		NegativeTimeout: &ttl,
		NullPermissions: true,
		RootStableAttr:  &fusefs.StableAttr{Ino: rootIno, Mode: fuse.S_IFDIR},
	}
	p.MountOptions = fuse.MountOptions{
		AllowOther:        o.AllowOther,
		Options:           words,
		MaxBackground:     maxBackground,
		MaxWrite:          maxWrite,
		FsName:            o.Source,
		Name:              kernelName,
		DirectMountStrict: direct,
		DirectMountFlags:  flags,
		MaxStackDepth:     stackDepth,
		// Pages are dropped when the ETag changes, not when a time does: see node.go.
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_HANDLE_KILLPRIV_V2 |
			fuse.CAP_ASYNC_DIO | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		Debug:  o.Debug,
		Logger: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	p.Logger = p.MountOptions.Logger
	p.PanicHandler = func(cause any) fuse.Status { // a fault of ours costs one call, not the mount
		o.Logger.Error("panic in a request of the kernel", "cause", cause, "stack", string(debug.Stack()))
		return fuse.EIO
	}
	return p
}
