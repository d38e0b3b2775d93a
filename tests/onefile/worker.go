package onefile

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/tests/harness"
)

// The jobs of the two processes, for harness.Main.
const (
	WorkJob   = "onefile-work"
	ReaderJob = "onefile-read"
)

// Message is what a driver tells, or asks for.
type Message struct {
	Op    string // is about to be done
	Ask   Ask    // the driver waits for an Answer
	What  string // has confirmed what InBucket is asked for; the name of what is to be replaced
	Files map[string]File
	Size  int64  // of what another client stores, and
	Seed  uint64 // of its bytes: see Theirs
	Wrong string // something is, and the driver ends
	Done  bool
}

// File is what a file should have.
type File struct {
	Size int64
	Sum  uint64
}

// Answer says what is wrong; "" for nothing.
type Answer struct {
	Wrong string
	Died  bool // it could not be done: the mount is gone
}

// Ask is what only the other side can do.
type Ask string

// What a driver asks for.
const (
	InBucket Ask = "in the bucket" // whether the bucket has Files
	Died     Ask = "died"          // the mount is gone: mount again
	Flush    Ask = "flush"         // have everything sent
	Replace  Ask = "replace"       // have another client store something else under a name, and the mount believe nothing that it knows
	Refresh  Ask = "refresh"       // have the mount believe nothing that it knows
	Remount  Ask = "remount"       // unmount; the bucket must have Files and nothing else; mount again
	Afresh   Ask = "afresh"        // the same, with another state directory
)

// Work is the job of the driver's process.
func Work(args []string) error {
	d := &driver{out: json.NewEncoder(os.Stdout), in: json.NewDecoder(os.Stdin), names: map[string]*inode{}}
	if err := json.Unmarshal([]byte(args[0]), &d.Config); err != nil {
		return err
	}
	d.r = rand.New(rand.NewPCG(d.Seed, 3))
	d.choose()
	var err error
	if d.reader, err = startReader(); err != nil {
		return err
	}
	if d.Noise {
		var paths []string
		for _, name := range names() {
			paths = append(paths, d.path(name))
		}
		if _, err := d.reader.do(request{Noise: paths}); err != nil {
			return err
		}
	}
	if err := d.work(); err != nil {
		return errors.Join(d.out.Encode(Message{Wrong: err.Error()}), d.reader.stop())
	}
	return errors.Join(d.out.Encode(Message{Done: true}), d.reader.stop())
}

func (d *driver) work() error {
	for n := 0; n < d.Steps; n++ {
		if err := d.survive(d.step()); err != nil {
			return err
		}
	}
	for {
		err := d.end()
		if err == nil || !errors.Is(err, errDied) {
			return err
		}
		if err := d.survive(err); err != nil {
			return err
		}
	}
}

// survive goes on after what may happen.
func (d *driver) survive(err error) error {
	switch {
	case errors.Is(err, errDied):
		return d.recover()
	case errors.Is(err, errStale):
		return nil
	}
	return err
}

func (d *driver) step() error {
	n := d.r.IntN(d.total)
	for _, k := range d.kinds {
		if n -= k.weight; n < 0 {
			if err := k.do(d); err != nil {
				return err
			}
			break
		}
	}
	return d.look()
}

// kind is something that a driver does.
type kind struct {
	weight int
	needed bool // no seed leaves it out
	do     func(*driver) error
}

func kinds() []kind {
	return []kind{
		{10, true, (*driver).open}, {6, true, (*driver).close},
		{14, true, (*driver).write}, {3, false, (*driver).fill}, {14, true, (*driver).read}, {4, false, (*driver).ftruncate},
		{5, false, (*driver).fallocate}, {3, false, (*driver).copyRange}, {1, false, (*driver).seek},
		{4, false, (*driver).mmap}, {8, false, (*driver).load}, {8, false, (*driver).store}, {2, false, (*driver).msync}, {3, true, (*driver).munmap},
		{3, false, (*driver).fsync}, {1, false, (*driver).syncRange}, {2, false, (*driver).drop},
		{2, false, (*driver).truncate}, {3, false, (*driver).move}, {1, false, (*driver).exchange}, {2, false, (*driver).unlink}, {2, false, (*driver).replace},
		{3, false, (*driver).attributes}, {4, false, (*driver).readElsewhere}, {2, false, (*driver).list},
		{4, false, (*driver).pause}, {1, false, (*driver).flush}, {1, false, (*driver).remount}, {2, false, (*driver).theirs},
	}
}

// choose leaves out some kinds, so that others meet more often.
func (d *driver) choose() {
	for _, k := range kinds() {
		if skip := d.r.IntN(5) == 0; skip && !k.needed {
			continue
		}
		d.kinds = append(d.kinds, k)
		d.total += k.weight
	}
}

// pause has what goes on in the background meet the operations at other moments.
func (d *driver) pause() error {
	for n := d.r.IntN(3); n >= 0; n-- {
		time.Sleep(time.Duration(d.r.IntN(40)) * time.Millisecond)
	}
	return nil
}

// ask asks the other side, and waits.
func (d *driver) ask(m Message) error {
	if err := d.out.Encode(m); err != nil {
		return err
	}
	var a Answer
	if err := d.in.Decode(&a); err != nil {
		return err
	}
	switch {
	case a.Died:
		return errDied
	case a.Wrong != "":
		return errors.New(a.Wrong)
	}
	return nil
}

// files says what some names should have.
func (d *driver) files(names ...string) map[string]File {
	list := map[string]File{}
	for _, name := range names {
		i := d.names[name]
		list[name] = File{i.size(), harness.Sum(i.content)}
	}
	return list
}

func (d *driver) flush() error {
	var whole []string
	for _, name := range names() { // removals are sent, too
		d.overwritten(name)
	}
	for name, i := range d.names {
		if len(i.since) == 0 {
			whole = append(whole, name)
		}
	}
	return d.ask(Message{Ask: Flush, Files: d.files(whole...)})
}

// leave closes all that is open.
func (d *driver) leave() error {
	for len(d.handles) > 0 {
		h := d.handles[d.r.IntN(len(d.handles))]
		if h.area != nil && (h.fd < 0 || d.r.IntN(2) == 0) {
			if err := d.munmapOne(h); err != nil {
				return err
			}
		} else if err := d.closeOne(h); err != nil && !errors.Is(err, errStale) {
			return err
		}
	}
	return nil
}

func (d *driver) remount() error {
	if err := d.leave(); err != nil {
		return err
	}
	return d.again(Remount)
}

// again has the mount replaced by another.
func (d *driver) again(how Ask) error {
	if err := d.ask(Message{Ask: how, Files: d.files(slices.Collect(maps.Keys(d.names))...)}); err != nil {
		return err
	}
	for _, i := range d.names {
		i.since = append(i.since, change{}) // confirmed is what there is now, whatever was
		i.confirm()
		i.clean()
	}
	return d.list()
}

func (d *driver) end() error {
	if err := d.leave(); err != nil {
		return err
	}
	if err := d.list(); err != nil {
		return err
	}
	return d.again(Afresh)
}

// look compares what stat(2) says, of open files and by name.
func (d *driver) look() error {
	for _, h := range d.handles {
		if h.fd >= 0 {
			if err := d.stat(h.ino, h.label, func(st *unix.Stat_t) error { return unix.Fstat(h.fd, st) }); err != nil {
				return err
			}
		}
	}
	for name, i := range d.names {
		if err := d.stat(i, name, func(st *unix.Stat_t) error { return unix.Stat(d.path(name), st) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) stat(i *inode, label string, do func(*unix.Stat_t) error) error {
	var st unix.Stat_t
	if err := d.call(i, "", func() error { return do(&st) }); err != nil {
		return err
	}
	at := time.Unix(st.Mtim.Unix())
	switch {
	case st.Size != i.size():
		return wrong("%s has %d bytes, stat(2) says, want %d", label, st.Size, i.size())
	case st.Mode&0o7777 != i.mode && !i.reset:
		return wrong("%s has mode %o, want %o", label, st.Mode&0o7777, i.mode)
	case !i.timely(at) && !i.reset:
		return wrong("%s was changed at %v, want from %v to %v", label, at, i.early, i.late)
	}
	return nil
}

// list compares which names there are, and all that the files have.
func (d *driver) list() error {
	for _, name := range names() {
		if err := d.compare(name); err != nil {
			return err
		}
	}
	got, err := d.there()
	if err != nil {
		return err
	}
	want := slices.Sorted(maps.Keys(d.names))
	if !slices.Equal(got, want) {
		return wrong("the names are %q, want %q", got, want)
	}
	return d.look()
}

// compare reads a file.
func (d *driver) compare(name string) error {
	i := d.names[name]
	if i == nil {
		return d.refused("open "+name, unix.ENOENT, func() error {
			_, err := readWhole(d.path(name), "read")
			return err
		})
	}
	var p []byte
	err := d.call(i, "read "+name, func() (err error) {
		p, err = readWhole(d.path(name), "read")
		return err
	})
	if err != nil {
		return err
	}
	if diff := difference(p, i.content); diff != "" {
		return wrong("%s: %s", name, diff)
	}
	return nil
}

// there are the names that the directories list, sorted.
func (d *driver) there() (list []string, err error) {
	err = d.call(nil, "list", func() error {
		list = nil
		for _, dir := range []string{"", "d/"} {
			entries, err := os.ReadDir(d.path(dir))
			if err != nil {
				return err
			}
			for _, e := range entries {
				if name := dir + e.Name(); name != "d" {
					list = append(list, name)
				}
			}
		}
		return nil
	})
	slices.Sort(list)
	return list, err
}
