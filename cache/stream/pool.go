package stream

import (
	"log/slog"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/internal/budget"
	"github.com/ossfs/ossfs/ossclient"
)

// Options are a Pool's.
type Options struct {
	Source   Source
	Ranges   *cache.Ranges  // blocks already read; the caller closes it after the Pool
	Budget   *budget.Budget // New takes the capacity of Ranges from it, class "ranges"; the rest serves the windows
	MaxConns int            // GETs in flight at most; 0: 64
	Logger   *slog.Logger   // nil: slog.Default()
}

// Pool is what all open files of a mount share. It is safe for concurrent use.
type Pool struct {
	opts Options
}

// New makes a Pool.
func New(opts Options) *Pool { return &Pool{opts: opts} }

// Close gives up everything that is under way and waits for it. Files must not be read any more.
func (p *Pool) Close() {}

// Hint is what the opener knows of a file beside its version.
type Hint struct {
	// Dir is the identity of the directory that the file was found in.
	Dir string
	// CRC64 is the CRC-64 of the whole object, when it is known.
	CRC64 *uint64
	// Next returns up to n versions of the files that follow this one in its directory's order. It must not
	// block on the network. nil: nothing is fetched ahead of this file.
	Next func(n int) []ossclient.Version
}

// Open begins the reading of v, for one handle. It is cheap and sends nothing.
func (p *Pool) Open(v ossclient.Version, hint Hint) *File {
	return &File{pool: p, version: v, hint: hint}
}
