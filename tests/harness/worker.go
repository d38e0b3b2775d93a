package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Worker says what a process does on a mount: random operations, and the same on a local directory; after
// each it compares what they touched.
type Worker struct {
	Mount, Local string
	Seed         uint64
	Steps        int
}

// workJob is the name of a worker's job.
const workJob = "work"

// message is what a worker tells.
type message struct {
	Op     *Op    // begun, or interrupted by the end of the mount
	Died   bool   // the mount is gone, in the middle of Op
	Synced string // fsync has returned of this path: the worker waits for a line
	Sum    uint64 // of its bytes
	Wrong  string
	Path   string // of what is wrong
	Done   bool
}

// Work is a worker at work.
type Work struct {
	Log     []string
	Doubt   *Op    // the operation that the end of the mount interrupted; nil: none
	Wrong   string // what was found wrong
	Path    string // and where
	Changed bool   // the mount died
}

// Run starts the process and sees it to its end. synced is asked what is wrong with the bucket, "" for nothing,
// when an fsync of a path has returned.
func (w *Worker) Run(t testing.TB, synced func(path string, sum uint64) string) (*Work, error) {
	arg, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	cmd, err := Job(t.Context(), workJob, string(arg))
	if err != nil {
		return nil, err
	}
	in, out, err := Converse(cmd)
	if err != nil {
		return nil, err
	}
	work := new(Work)
	err = work.follow(out, in, synced)
	return work, errors.Join(err, cmd.Wait())
}

func (k *Work) follow(out io.Reader, in io.Writer, synced func(string, uint64) string) error {
	lines := json.NewDecoder(out)
	done := false
	for {
		var m message
		if err := lines.Decode(&m); err == io.EOF && done {
			return nil
		} else if err != nil {
			return fmt.Errorf("a worker ended: %w", err)
		}
		switch {
		case m.Synced != "":
			if wrong := synced(m.Synced, m.Sum); wrong != "" && k.Wrong == "" {
				k.Wrong = wrong
			}
			if _, err := io.WriteString(in, "\n"); err != nil {
				return err
			}
		case m.Wrong != "":
			k.Wrong, k.Path = m.Wrong, m.Path
		case m.Died:
			k.Changed, k.Doubt = true, m.Op
		case m.Op != nil:
			k.Log = append(k.Log, m.Op.String())
		}
		done = done || m.Done
	}
}

// work is the process's side.
func work(args []string) error {
	var w Worker
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return err
	}
	out, in := json.NewEncoder(os.Stdout), bufio.NewReader(os.Stdin)
	r := rand.New(rand.NewPCG(w.Seed, 7))
	for n := range w.Steps {
		o := RandomOp(r)
		if err := out.Encode(message{Op: &o}); err != nil {
			return err
		}
		over, err := w.step(&o, n%2 == 1, out, in)
		if err != nil {
			return err
		}
		if over {
			break
		}
	}
	return out.Encode(message{Done: true})
}

// step does one op on both trees; over: there is no sense in going on.
func (w *Worker) step(o *Op, direct bool, out *json.Encoder, in *bufio.Reader) (over bool, err error) {
	got := o.Do(w.Mount, func(path string, f *os.File) error {
		return tellSynced(path, f, out, in)
	})
	if w.died(got) {
		return true, out.Encode(message{Op: o, Died: true})
	}
	want := o.Do(w.Local, nil)
	if Number(got) != Number(want) {
		return true, out.Encode(message{Path: o.Path, Wrong: fmt.Sprintf("%s: the mount says %v, the local directory %v", o, got, want)})
	}
	for _, path := range o.Touches() {
		got, gerr := Look(filepath.Join(w.Mount, path), direct)
		want, werr := Look(filepath.Join(w.Local, path), false)
		switch {
		case w.died(gerr):
			return true, out.Encode(message{Died: true})
		case Number(gerr) != Number(werr), got != want:
			cached, _ := Look(filepath.Join(w.Mount, path), false)
			asked, _ := Look(filepath.Join(w.Mount, path), true)
			where := Where(filepath.Join(w.Mount, path), filepath.Join(w.Local, path))
			return true, out.Encode(message{Path: path, Wrong: fmt.Sprintf("after %s, %s: the mount has %q (%v), the local directory %q (%v)%s; again, by the kernel's pages: %q, directly: %q",
				o, path, got, gerr, want, werr, where, cached, asked)})
		}
	}
	return false, nil
}

// died says whether an error comes from the end of the mount: a read or write through the kernel's pages is EIO then.
func (w *Worker) died(err error) bool {
	if Number(err) == syscall.EIO {
		_, err = os.Lstat(filepath.Join(w.Mount, "no such name, and nobody asked before")) // what was asked before the kernel may know
	}
	return Died(err)
}

// tellSynced has the other side look into the bucket, and waits for it.
func tellSynced(path string, f *os.File, out *json.Encoder, in *bufio.Reader) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p := make([]byte, st.Size())
	if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
		return err
	}
	if err := out.Encode(message{Synced: path, Sum: Sum(p)}); err != nil {
		return err
	}
	_, err = in.ReadString('\n')
	return err
}
