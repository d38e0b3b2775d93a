package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
)

const (
	bucket   = "powercut"
	diskSize = 384 << 20
	patience = 4 * time.Minute // for a start of the machine, and all it has to do then
	trapped  = 2 * time.Second // for a trap to spring
)

// campaign is all that does not change from cut to cut.
type campaign struct {
	root     root
	server   *ossserver.Server
	endpoint string // as the guest reaches it
	fs       string
	dir      string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

func run() error {
	var c campaign
	guest := flag.String("guest", "", "in the machine: work, look or writeback")
	kept := flag.Int("kept", 0, "what writeback waits, centiseconds")
	seed := flag.Uint64("seed", 1, "the first seed; each further cut has the next")
	cuts := flag.Int("cuts", 10, "how many")
	flag.StringVar(&c.root.kernel, "kernel", "", "vmlinuz of Debian's linux-image; empty: the power of this machine's state directory is cut (root only)")
	flag.StringVar(&c.root.modules, "modules", "", "its folder lib/modules/VERSION")
	flag.StringVar(&c.root.busybox, "busybox", "/bin/busybox", "a static one")
	flag.StringVar(&c.root.ossfs, "ossfs", "", "the program that is tested, static")
	flag.StringVar(&c.fs, "fs", "ext4", "filesystem of the state directory: ext4, xfs or, without a machine, btrfs")
	flag.StringVar(&c.dir, "dir", "", "a folder for consoles and the like, made if it is not there")
	flag.Parse()
	switch *guest {
	case "work":
		return work("/mnt", *seed)
	case "look":
		return look("/mnt")
	case "writeback":
		return writeBack("/var/ossfs", time.Duration(*kept)*10*time.Millisecond)
	}
	if err := c.open(); err != nil {
		return err
	}
	bad := 0
	for n := range *cuts {
		at := *seed + uint64(n)
		if err := c.try(at); err != nil {
			bad++
			fmt.Printf("seed %d: FAIL: %v\n", at, err)
		}
	}
	fmt.Printf("%d passed, %d failed\n", *cuts-bad, bad)
	if bad > 0 {
		return errors.New("promises were broken")
	}
	return c.server.Close()
}

func (c *campaign) open() error {
	if err := isStatic(c.root.ossfs); err != nil {
		return err
	}
	var err error
	if c.root.ossfs, err = filepath.Abs(c.root.ossfs); err != nil { // a link leads there
		return err
	}
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if c.root.kernel != "" {
		image, err := c.root.initramfs()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.dir, "initramfs"), image, 0o600); err != nil {
			return err
		}
	}
	c.server, err = ossserver.New(ossserver.Options{Keys: []ossserver.Key{{ID: bucket, Secret: bucket}}, Bandwidth: 4 << 20})
	if err != nil {
		return err
	}
	endpoint, err := c.server.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	c.endpoint = endpoint
	if c.root.kernel != "" {
		c.endpoint = strings.Replace(endpoint, "127.0.0.1", "10.0.2.2", 1)
	}
	return c.server.CreateBucket(bucket)
}

// newDisk makes an empty filesystem.
func (c *campaign) newDisk() (*volatileDisk, error) {
	image := filepath.Join(c.dir, "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, diskSize)); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mkfs."+c.fs, "-q", image).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.%s: %w: %s", c.fs, err, out)
	}
	body, err := os.ReadFile(image)
	if err != nil {
		return nil, err
	}
	return newDisk(body), nil
}

// try is one machine: it works, loses its power, sometimes again while it recovers, and is looked at.
func (c *campaign) try(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	d, err := c.newDisk()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.dir, fmt.Sprintf("console.%s.%d", c.fs, seed)))
	if err != nil {
		return err
	}
	defer log.Close()
	how := conditionsOf(rng)
	c.server.SetLatency(how.latency)
	prefix := fmt.Sprintf("%s-%d/", c.fs, seed)
	words := append(how.words(), fmt.Sprint("SEED=", seed), "FSTYPE="+c.fs, "OSSFS_SOURCE=oss://"+bucket+"/"+prefix, "OSS_ENDPOINT="+c.endpoint)
	w := newWitness()
	for _, h := range files(seed) {
		h.soon, h.pressed = how.writeBack < time.Hour || how.stage > 0, how.stage > 0
		for _, v := range h.versions {
			if err := c.server.Put(bucket, prefix+h.name, h.body(v), nil); err != nil {
				return err
			}
		}
		w.files[h.name] = h
	}
	lost, err := c.live(d, log, append(words, "MODE=work"), w, 2*time.Second+time.Duration(rng.Int64N(int64(10*time.Second))), rng)
	if err != nil {
		return err
	}
	image := d.image()
	fmt.Printf("seed %d: %v: %d changes begun, %s, %d writes of the disk not flushed", seed, how.words(), w.begun(), w.trap, lost)
	if rng.IntN(3) == 0 {
		lost, err = c.live(d, log, append(words, "MODE=look"), newWitness(), time.Duration(1+rng.Int64N(int64(4*time.Second))), rng)
		if err != nil {
			return err
		}
		fmt.Printf("; cut again, %d", lost)
	}
	fmt.Println()
	seen := newWitness()
	_, err = c.live(d, log, append(words, "MODE=look"), seen, 0, rng)
	if err == nil {
		err = c.compare(prefix, w, seen)
	}
	if err != nil {
		err = errors.Join(err, writeSparse(filepath.Join(c.dir, fmt.Sprintf("image.%s.%d", c.fs, seed)), image))
	}
	return err
}

// writeSparse writes a file with holes for zeros.
func writeSparse(name string, p []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	const page = 64 << 10
	zero := make([]byte, page)
	for at := 0; at < len(p); at += page {
		if q := p[at:min(at+page, len(p))]; !bytes.Equal(q, zero[:len(q)]) {
			if _, err := f.WriteAt(q, int64(at)); err != nil {
				return err
			}
		}
	}
	return f.Truncate(int64(len(p)))
}

// live starts the machine and takes its power some time after its mount answered; 0: when it is done.
func (c *campaign) live(d *volatileDisk, log io.Writer, words []string, w *witness, after time.Duration, rng *rand.Rand) (lost int, err error) {
	m, err := c.root.start(c.dir, d, log, words...)
	if err != nil {
		return 0, err
	}
	var soon, cut <-chan time.Time
	w.trap = trapOf(rng)
	sprung := w.trap.sprung
	late := time.After(patience)
	for {
		select {
		case text, on := <-m.lines:
			if !on {
				err := ignore(m.wait())
				return d.cut(rng), errors.Join(w.err, err)
			}
			first := w.hear(text)
			if first && after > 0 {
				soon = time.After(after)
			}
			if w.done && w.cut.IsZero() {
				cut = time.After(0)
			}
		case <-soon:
			d.set(w.trap)
			cut = time.After(trapped)
		case <-sprung:
			sprung, cut = nil, time.After(0)
		case <-cut:
			w.cut = time.Now()
			cut, late, sprung = nil, nil, nil
			if err := m.off(); err != nil {
				return 0, err
			}
		case <-late:
			w.err = errors.Join(w.err, errors.New("the machine did not come to its end"))
			cut, late = time.After(0), nil
		}
	}
}

// ignore drops the exit status of a machine that was switched off.
func ignore(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// compare holds what the bucket, and the mount before it, have against what was promised.
func (c *campaign) compare(prefix string, w, seen *witness) error {
	var problems []error
	setAside := 0
	inBucket := make(map[string][sha256.Size]byte)
	for _, key := range c.server.Keys(bucket) {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok || strings.HasSuffix(key, "/") {
			continue
		}
		info, _ := c.server.Object(bucket, key)
		body, err := info.Body()
		if err != nil {
			return err
		}
		inBucket[name] = sha256.Sum256(body)
		if h := w.files[name]; h != nil {
			if _, known := h.find(inBucket[name]); !known {
				problems = append(problems, fmt.Errorf("bucket: %s has blocks %s", name, h.describe(body)))
			}
		}
	}
	if !seen.sent {
		problems = append(problems, errors.New("flush did not send everything"))
	}
	for where, found := range map[string]map[string][sha256.Size]byte{"bucket": inBucket, "mount": seen.sums} {
		for name, sum := range found {
			of, _, copied := strings.Cut(strings.TrimPrefix(name, temporary), ".conflict-")
			h := w.files[of]
			if h == nil || name == of {
				continue
			}
			number, known := h.find(sum)
			switch {
			case !known:
				problems = append(problems, fmt.Errorf("%s: %s: its bytes are of no version", where, name))
			case copied:
				beside, _ := h.find(found[of])
				problems = append(problems, fmt.Errorf("%s: %s: version %d is kept beside %d", where, name, number, beside))
			}
		}
		for name, h := range w.files {
			number, known := h.gone(), true
			if sum, there := found[name]; there {
				number, known = h.find(sum)
			}
			problem, aside := h.verdict(w.cut, number, known)
			if aside {
				setAside++
			}
			if problem != "" {
				problems = append(problems, fmt.Errorf("%s: %v: %s", where, h, problem))
			}
		}
	}
	if setAside > 0 {
		fmt.Printf("  %d times a file was not stored that was being overwritten\n", setAside)
	}
	return errors.Join(problems...)
}

// witness hears what is said on the console.
type witness struct {
	files map[string]*history
	sums  map[string][sha256.Size]byte
	heard bool
	done  bool // the machine has nothing more to do
	sent  bool // flush returned 0
	cut   time.Time
	trap  *trap
	err   error
}

func newWitness() *witness {
	return &witness{files: make(map[string]*history), sums: make(map[string][sha256.Size]byte)}
}

func (w *witness) begun() (n int) {
	for _, h := range w.files {
		n += len(h.versions)
	}
	return n
}

// hear takes a line; it says whether it was the first.
func (w *witness) hear(text string) bool {
	first := !w.heard
	w.heard = true
	in := bufio.NewReader(strings.NewReader(text))
	var what, name string
	_, _ = fmt.Fscan(in, &what, &name) // a line has one word at least; one that is cut off says less than there was
	switch what {
	case "B":
		var number, blocks, from, to int
		var kind byte
		if _, err := fmt.Fscanf(in, " %d %c %d %d %d.", &number, &kind, &blocks, &from, &to); err != nil {
			break
		}
		if w.files[name] == nil {
			w.files[name] = &history{name: name}
		}
		w.files[name].begin(kind, blocks, from, to)
	case "C", "D", "F":
		var number int
		if _, err := fmt.Fscan(in, &number); err != nil || w.files[name] == nil || number > len(w.files[name].versions) {
			w.err = errors.Join(w.err, fmt.Errorf("the console said %q", text))
			break
		}
		switch v := w.files[name].versions[number-1]; what {
		case "C":
			if v.closed.IsZero() {
				v.closed = time.Now()
			}
		case "D":
			v.closed = time.Unix(0, 0) // it needs no margin
		case "F":
			v.synced = true
		}
	case "R":
		var sum string
		_, _ = fmt.Fscan(in, &sum)
		body, err := hex.DecodeString(sum)
		if err != nil || len(body) != sha256.Size {
			w.err = errors.Join(w.err, fmt.Errorf("the console said %q", text))
			break
		}
		w.sums[name] = [sha256.Size]byte(body)
	case "S":
		w.sent = true
	case "Z":
		w.done = true
	case "E", "X":
		if w.cut.IsZero() { // else it is what the end of the mount looks like
			w.err = errors.Join(w.err, errors.New(text))
		}
	}
	return first
}
