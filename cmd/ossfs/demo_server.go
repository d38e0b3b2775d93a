package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/lockfile"
	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
)

// demoServer is the OSS server of a demo.
type demoServer struct {
	dir      string
	endpoint string
	key      *demoKey
	server   *ossserver.Server
	lock     io.Closer
}

// Retrieve gives the key to the mount.
func (k *demoKey) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential(*k), nil
}

func startDemoServer(d *demo) (*demoServer, error) {
	dir, err := d.demoDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, stateDirMode); err != nil {
		return nil, failf("demo directory %s: %w: give --dir DIR", dir, reason(err))
	}
	s := &demoServer{dir: dir, key: &demoKey{ID: "demo", Secret: rand.Text()}}
	if s.lock, err = lockDemo(dir); err != nil {
		return nil, err
	}
	s.server, err = ossserver.New(ossserver.Options{
		Dir: filepath.Join(dir, "objects"), Keys: []ossserver.Key{{ID: s.key.ID, Secret: s.key.Secret}}, Region: demoRegion,
		Latency: time.Duration(d.latency), Bandwidth: int64(d.bandwidth),
	})
	if err != nil {
		return nil, errors.Join(failf("the demo's server in %s: %w: give another --dir", dir, err), s.lock.Close())
	}
	if err := s.start(d.listen); err != nil {
		return nil, errors.Join(err, s.server.Close(), s.lock.Close())
	}
	return s, nil
}

// lockDemo keeps two demos from one directory.
func lockDemo(dir string) (io.Closer, error) {
	lock, err := lockfile.Take(filepath.Join(dir, "lock"))
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		return nil, failf("demo directory %s: a demo is running in it (pid %s): end it, or give another --dir", dir, held.PID)
	}
	if err != nil {
		return nil, failf("demo directory %s: %w: give another --dir", dir, reason(err))
	}
	return lock, nil
}

func (s *demoServer) start(listen string) error {
	endpoint, err := s.server.Start(listen)
	if err != nil {
		return failf("the demo's server cannot listen on %s: %w: give another --listen", listen, err)
	}
	s.endpoint = endpoint
	if !s.server.HasBucket(demoBucket) {
		if err := s.server.CreateBucket(demoBucket); err != nil {
			return failf("the demo's bucket: %w", err)
		}
	}
	text := fmt.Sprintf("export OSS_ENDPOINT=%s OSS_REGION=%s OSS_ACCESS_KEY_ID=%s OSS_ACCESS_KEY_SECRET=%s\n",
		s.endpoint, demoRegion, s.key.ID, s.key.Secret)
	return writePrivate(s.envFile(), text)
}

func (s *demoServer) envFile() string { return filepath.Join(s.dir, "env") }

func writePrivate(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func (s *demoServer) close(w io.Writer) {
	err := errors.Join(os.Remove(s.envFile()), s.server.Close(), s.lock.Close())
	if err != nil {
		fmt.Fprintln(w, "ossfs: ending the demo's server: "+oneLine(err.Error()))
	}
}

// introduce says what can be tried, in lines to copy.
func (s *demoServer) introduce(w io.Writer, mountpoint string) {
	fmt.Fprintf(w, `oss://%s is mounted on %s
The OSS server is %s; its objects are kept in %s

Try, in another terminal:
  cd %s
  rsync -a --info=stats1 /usr/include/ %s/include/
  ls -lR %s | head; df -h %s
  ossfs status; ossfs flush %s
The same bucket for other tools, such as ossutil (in a shell that may see the key):
  . %s

Ctrl-C ends the demo: what is staged is sent, and the next demo shows the same tree.
`, demoBucket, mountpoint, s.endpoint, s.dir, mountpoint, mountpoint, mountpoint, mountpoint, mountpoint, s.envFile())
}

// summarize says on one line what a command cost.
func (s *demoServer) summarize(w io.Writer, took time.Duration) {
	counts := s.server.Counts()
	var total int64
	parts := make([]string, 0, len(counts))
	for _, op := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return int(counts[b] - counts[a]) }) {
		total += counts[op]
		parts = append(parts, fmt.Sprintf("%s %d", op, counts[op]))
	}
	in, out := s.server.Bytes()
	fmt.Fprintf(w, "ossfs demo: done in %v; the bucket got %s and gave %s in %d requests (%s); it is kept in %s\n",
		took.Round(10*time.Millisecond), formatSize(in), formatSize(out), total, strings.Join(parts, ", "), s.dir)
}
