package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/tests/harness"
	"github.com/ossfs/ossfs/writeback"
)

// sharing is what the mounts of a seed are like.
type sharing struct {
	Names  int           // that are used
	Killed bool          // they are processes of their own, to be killed
	Faulty bool          // the server fails requests
	Stage  int64         // bytes; 0: no limit
	Delay  time.Duration // from a close to the upload

	OnConflict writeback.Conflict
}

func newSharing(r *rand.Rand) sharing {
	c := sharing{Names: 2 + r.IntN(5), Delay: time.Hour, Killed: r.IntN(4) == 0, Faulty: r.IntN(4) == 0}
	if r.IntN(4) == 0 {
		c.Stage = 1 << 20
	}
	if r.IntN(4) == 0 {
		c.Delay = time.Duration(1+r.IntN(20)) * time.Millisecond
	}
	switch r.IntN(8) {
	case 0:
		c.OnConflict = writeback.Fail
	case 1:
		c.OnConflict = writeback.Overwrite
	}
	return c
}

// eager says whether a mount sends by itself, beside what is done.
func (c *sharing) eager() bool { return c.Delay < time.Hour || c.Stage > 0 }

// sharer is one of the mounts.
type sharer struct {
	name    string
	dir     string
	ttl     time.Duration
	bed     *harness.Bed     // in this process, or
	process *harness.Process // in one of its own
	sends   bool             // by itself, beside what is done
	open    []*held
	unsent  []unsent        // what the last flush could not send
	taken   map[string]bool // what it has removed by name
	own     map[string]bool // names of content of its own that nothing has sent, moved or taken away
}

// held is a file that a sharer has open.
type held struct {
	*os.File
	unsafe []string // the lines that a kill may take: written through it, and neither closed nor synced since
}

const sharedSinglePut = 128 << 10

// mount mounts the bucket for the first time.
func (p *sharer) mount(t *testing.T, s *ossservertest.Server, c sharing, program func() string) {
	if p.sends = c.eager(); !c.Killed {
		p.bed = harness.On(t, s, func(o *fsOptions) {
			o.Host, o.TTL, o.SinglePut, o.StageSize, o.WriteBack, o.OnConflict = p.name, p.ttl, sharedSinglePut, c.Stage, c.Delay, c.OnConflict
		})
		p.dir = p.bed.Dir
		p.bed.Attach()
		return
	}
	p.process = harness.NewProcess(t, s, program())
	onConflict := []string{writeback.KeepBoth: "keep-both", writeback.Overwrite: "overwrite", writeback.Fail: "fail"}
	p.process.Flags = []string{"--attr-ttl", p.ttl.String(), "--write-back", c.Delay.String(), "--single-put", fmt.Sprint(sharedSinglePut),
		"--on-conflict", onConflict[c.OnConflict]}
	if c.Stage > 0 {
		p.process.Flags = append(p.process.Flags, "--stage-size", fmt.Sprint(c.Stage))
	}
	p.dir = p.process.Dir
	p.start()
}

func (p *sharer) path(name string) string { return filepath.Join(p.dir, name) }

// believes says whether it knows what others did only later.
func (p *sharer) believes() bool { return p.ttl > 0 }

// again is a new mount with the same state directory: what was unsent it begins to send.
func (p *sharer) again() {
	p.sends = true
	if p.bed != nil {
		p.bed.Remount()
		return
	}
	if out, err := p.process.Command("umount", "--now", p.dir).CombinedOutput(); exitOf(err) != 0 && exitOf(err) != statusUnsent {
		p.process.T.Fatalf("umount: %v: %s", err, out)
	}
	p.process.Kill() // it has ended
	p.start()
}

// start returns when the process can be spoken to.
func (p *sharer) start() {
	p.process.Start()
	harness.Eventually(p.process.T, "the mount's name in the list of mounts", func() bool { return p.process.Command("status", p.dir).Run() == nil })
}

const statusUnsent = 3 // the exit status of the program that says that something is unsent

// exitOf is the exit status that a command's error tells.
func exitOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// unsent is what a flush could not send.
type unsent struct {
	key      string
	gone     bool // others have deleted what it is an edit of
	conflict bool // others have changed what it is made of
	text     string
}

// flush has the bucket get all that it can get.
func (p *sharer) flush(t *testing.T) (list []unsent) {
	if p.process != nil {
		return p.flushProcess(t)
	}
	err := p.bed.Mount.Flush(t.Context(), "", nil)
	if failed := new(*writeback.Unsent); err == nil || !errors.As(err, failed) {
		must(t, err)
		return nil
	}
	for _, f := range p.bed.Mount.Status().Writeback.Failures {
		list = append(list, unsent{string(f.Key), errors.Is(f.Err, ossclient.ErrNotExist), errors.As(f.Err, new(*writeback.ConflictError)), fmt.Sprint(f.Err)})
	}
	return list
}

func (p *sharer) flushProcess(t *testing.T) (list []unsent) {
	out, err := p.process.Command("flush", p.dir).CombinedOutput()
	switch exitOf(err) {
	case 0:
		return nil
	case statusUnsent:
	default:
		t.Fatalf("flush: %v: %s", err, out)
	}
	out, err = p.process.Command("status", "--json", p.dir).Output()
	must(t, err)
	var status struct {
		Queue struct {
			Failures []struct{ Key, Error string }
		}
	}
	must(t, json.Unmarshal(out, &status))
	for _, f := range status.Queue.Failures {
		list = append(list, unsent{f.Key, strings.Contains(f.Error, "does not exist"), strings.Contains(f.Error, "was changed by another client"), f.Error})
	}
	return list
}

// turn has two directories change their names.
func turn(p *sharer) error {
	return errors.Join(os.Rename(p.path("d"), p.path("f")), os.Rename(p.path("e"), p.path("d")), os.Rename(p.path("f"), p.path("e")))
}

// sharedFaults are those of which nobody who uses a mount may hear.
func sharedFaults() []ossserver.Fault {
	var list []ossserver.Fault
	for _, kind := range []ossserver.FaultKind{ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
		list = append(list, ossserver.Fault{Kind: kind, Probability: 0.05})
	}
	return list
}
