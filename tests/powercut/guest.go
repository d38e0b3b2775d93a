package main

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const said = "@@ " // begins each line of the console that is for the other side

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
	for i, h := range files(seed) {
		go func() { // it ends with the machine
			p := program{dir: dir, h: h, rng: rand.New(rand.NewPCG(seed, uint64(1+i)))}
			for {
				if err := p.visit(); err != nil {
					failed <- err
				}
				p.pause(3)
			}
		}()
	}
	return <-failed
}

// program changes one file.
type program struct {
	dir string
	h   *history
	rng *rand.Rand
	f   *os.File
}

func (p *program) path(prefix string) string { return filepath.Join(p.dir, prefix+p.h.name) }

// pause rests for some time, once in so many times.
func (p *program) pause(once int) {
	if p.rng.IntN(once) == 0 {
		time.Sleep(time.Duration(p.rng.Int64N(int64(3 * time.Second))))
	}
}

// say tells something of the last version.
func (p *program) say(what, more string) {
	say("%s %s %d%s", what, p.h.name, len(p.h.versions), more)
}

// temporary begins the name of a file that is going to be renamed.
const temporary = ".new-"

// visit is what a program does between an open and its close.
func (p *program) visit() (err error) {
	v, name, flags := p.begin(p.h.kinds), p.path(""), os.O_RDWR
	switch {
	case v.kind == removed:
		if err := os.Remove(name); err != nil {
			return err
		}
		p.say("C", "")
		return nil
	case v.kind == asNew:
		name, flags = p.path(temporary), flags|os.O_CREATE|os.O_TRUNC
	case v.kind == truncated && p.rng.IntN(2) == 0:
		flags |= os.O_TRUNC
	}
	if p.f, err = os.OpenFile(name, flags, 0o644); err != nil {
		return err
	}
	for more := p.rng.IntN(4); ; more-- {
		if err := p.write(v); err != nil {
			return err
		}
		what, err := p.commit(more <= 0)
		if err == nil && name != p.path("") {
			what, err = "C", os.Rename(name, p.path(""))
			name = p.path("")
		}
		if err != nil {
			return err
		}
		if p.say(what, ""); more <= 0 {
			return nil
		}
		p.pause(3)
		v = p.begin(strings.Trim(p.h.kinds, "nr"))
	}
}

// begin begins the next version, of one of some kinds, and says so.
func (p *program) begin(kinds string) *version {
	kind, blocks, from, to := kinds[p.rng.IntN(len(kinds))], 0, 0, 0
	switch last := p.h.last(); {
	case last == nil:
		kind = asNew
	case last.blocks == 0:
		kind = appended
	default:
		blocks = last.blocks
	}
	switch kind {
	case asNew, truncated:
		blocks = 1 + p.rng.IntN(p.h.most)
		to = blocks
	case edited:
		from = p.rng.IntN(blocks)
		to = from + 1 + p.rng.IntN(blocks-from)
		if p.rng.IntN(2) == 0 {
			to = min(to, from+1+p.rng.IntN(20))
		}
	case appended:
		from = blocks
		blocks += 1 + p.rng.IntN(1+p.h.most/5)
		to = blocks
	case cutOff:
		blocks = p.rng.IntN(blocks)
		from, to = blocks, blocks
	case removed:
		blocks = 0
	}
	v := p.h.begin(kind, blocks, from, to)
	p.say("B", fmt.Sprintf(" %c %d %d %d.", kind, blocks, from, to))
	return v
}

// write makes a version in the open file. It may rest with a part of it written.
func (p *program) write(v *version) error {
	if v.kind == cutOff || v.kind == truncated {
		if err := p.f.Truncate(int64(v.from) * block); err != nil {
			return err
		}
	}
	at := v.from
	for _, end := range pieces(v.from, v.to) {
		var b []byte
		for i := at; i < end; i++ {
			b = append(b, content(p.h.name, v.gens[i], i)...)
		}
		if _, err := p.f.WriteAt(b, int64(at)*block); err != nil {
			return err
		}
		if at = end; at == v.from+1 {
			p.pause(2)
		}
	}
	return nil
}

// commit has something promised of the version in the open file, and says what: by a sync, by its close when it is the last, or by
// the close of another descriptor, as each program does that a shell starts with the file for its output.
func (p *program) commit(last bool) (what string, err error) {
	what = "C"
	if p.rng.IntN(2) == 0 {
		if what = "F"; os.Getenv("OSSFS_FSYNC") == "local" {
			what = "D"
		}
		err = p.f.Sync()
	} else if !last {
		var fd int
		if fd, err = syscall.Dup(int(p.f.Fd())); err == nil {
			err = syscall.Close(fd)
		}
	}
	if last && err == nil {
		err = p.f.Close()
	}
	return what, err
}

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
