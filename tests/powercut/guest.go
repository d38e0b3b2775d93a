package main

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	said    = "@@ " // begins each line of the console that is for the other side
	workers = 4     // at most
	names   = 5     // of each worker
	piece   = 16 << 10
)

// console is written to line by line.
var console sync.Mutex

func say(format string, args ...any) {
	console.Lock()
	defer console.Unlock()
	fmt.Fprintf(os.Stdout, "\n"+said+format+"\n", args...)
}

// work changes files in dir for ever, and says what was promised of them. It ends with the first error.
func work(dir string, seed uint64) error {
	failed := make(chan error)
	busy := 1 // so few files that a group syncs them one by one, or, with an odd seed, the whole filesystem
	if seed%2 == 1 {
		busy = workers
	}
	for w := range busy {
		go func() { // it ends with the machine
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			files := make([]history, names)
			for i := range files {
				files[i].name = fmt.Sprintf("w%d-%d", w, i)
			}
			for {
				if err := change(dir, &files[rng.IntN(names)], rng); err != nil {
					failed <- err
				}
			}
		}()
	}
	for i, h := range stored(seed) {
		go func() { // so does this
			rng := rand.New(rand.NewPCG(seed, uint64(workers+1+i)))
			for {
				if err := edit(dir, h, rng); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// change makes the next version of a file.
func change(dir string, h *history, rng *rand.Rand) error {
	kind := []byte{asNew, truncated, inPlace, appended}[rng.IntN(4)]
	blocks := []int{1 + rng.IntN(20), 33 + rng.IntN(200), 33 + rng.IntN(200), 500 + rng.IntN(1000)}[rng.IntN(4)]
	from := 0
	switch n := len(h.versions); {
	case n == 0:
		kind = asNew
	case kind == inPlace:
		blocks = h.versions[n-1].blocks
	case kind == appended:
		from = h.versions[n-1].blocks
		blocks = from + 1 + rng.IntN(100)
	}
	return rewriting{kind: kind, blocks: blocks, from: from, to: blocks, synced: kind != asNew && rng.IntN(5) == 0}.write(dir, h)
}

// edit changes some blocks of a file that the bucket has, and adds to it while they are sent or after they were: what the
// mount fetched of the others to send them is local as long as somebody has the file open.
func edit(dir string, h *history, rng *rand.Rand) error {
	held, err := os.Open(filepath.Join(dir, h.name))
	if err != nil {
		return err
	}
	defer held.Close()
	blocks := h.versions[len(h.versions)-1].blocks
	from := rng.IntN(blocks)
	if err := (rewriting{kind: edited, blocks: blocks, from: from, to: min(from+1+rng.IntN(20), blocks), synced: rng.IntN(2) == 0}).write(dir, h); err != nil {
		return err
	}
	pause(rng)
	more := blocks + 1 + rng.IntN(20)
	if err := (rewriting{kind: appended, blocks: more, from: blocks, to: more, synced: rng.IntN(3) == 0, open: time.Duration(rng.Int64N(int64(3 * time.Second)))}).write(dir, h); err != nil {
		return err
	}
	pause(rng)
	return nil
}

// pause is as long as a file may take until it is sent.
func pause(rng *rand.Rand) { time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second)))) }

// rewriting is one change of a file.
type rewriting struct {
	kind             byte
	blocks, from, to int // how many blocks it has then, and those that are written
	synced           bool
	open             time.Duration // how long it stays open after the first of them
}

// write makes a version of which the blocks from..to-1 are written. The file stays open for a while after the first of them.
func (c rewriting) write(dir string, h *history) error {
	kind, blocks, from, to := c.kind, c.blocks, c.from, c.to
	n := len(h.versions) + 1
	v := h.begin(kind, blocks, from, to)
	say("B %s %d %c %d %d %d.", h.name, n, kind, blocks, from, to)
	path, mode := filepath.Join(dir, h.name), os.O_WRONLY
	switch kind {
	case asNew:
		path, mode = filepath.Join(dir, temporary+h.name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC
	case truncated:
		mode |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o644)
	if err != nil {
		return err
	}
	var p []byte
	for i := from; i < to; i++ {
		p = append(p, content(h.name, v.gens[i], i)...)
		if len(p) >= piece || i == from || i == to-1 {
			if _, err := f.WriteAt(p, int64((i+1)*block-len(p))); err != nil {
				return err
			}
			p = p[:0]
		}
		if i == from {
			time.Sleep(c.open)
		}
	}
	if c.synced {
		if err := f.Sync(); err != nil {
			return err
		}
		say("F %s %d", h.name, n)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if kind == asNew {
		if err := os.Rename(path, filepath.Join(dir, h.name)); err != nil {
			return err
		}
	}
	say("C %s %d", h.name, n)
	return nil
}

// temporary begins the name of a file that is going to be renamed.
const temporary = ".new-"

// look says what the mount shows.
func look(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			say("X %s %v", e.Name(), err)
			continue
		}
		say("R %s %x", e.Name(), sha256.Sum256(body))
	}
	say("L")
	return nil
}
