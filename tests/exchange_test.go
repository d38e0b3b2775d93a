package tests

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/tests/harness"
)

// A mount that is killed at a random moment of an exchange, of any kind: the next one shows both names as they were, or
// both exchanged, and nothing else.
// SEMANTICS 6.3; invariant 1
func TestExchangeKilled(t *testing.T) {
	program := harness.Build(t)
	file := func(content string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(content), 0o644)) }
	}
	dir := func(content string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			must(t, os.MkdirAll(filepath.Join(path, "deep"), 0o755))
			for _, name := range []string{"x", "deep/y", content} {
				must(t, os.WriteFile(filepath.Join(path, name), []byte(content+" "+name), 0o644))
			}
		}
	}
	for name, make := range map[string][2]func(t *testing.T, path string){
		"files":                  {file("one"), file("other")},
		"directories":            {dir("one"), dir("other")},
		"a file and a directory": {file("one"), dir("other")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ossservertest.NewTest(t, ossserver.Options{Latency: 2 * time.Millisecond})
			p := harness.NewProcess(t, s, program)
			p.Flags = []string{"--write-back", "20ms"}
			p.Start()
			for i, side := range []string{"a", "b"} {
				make[i](t, filepath.Join(p.Dir, side))
			}
			k := exchanges{t: t, p: p, a: filepath.Join(p.Dir, "a"), b: filepath.Join(p.Dir, "b"), r: rand.New(rand.NewPCG(1, uint64(len(name))))}
			k.look()
			for range setting("EXCHANGE_KILLS", 12) {
				k.kill()
			}
			p.Stop()
		})
	}
}

// exchanges are what is done to two names, again and again.
type exchanges struct {
	t     *testing.T
	p     *harness.Process
	a, b  string
	r     *rand.Rand
	sides [2]harness.Tree // what is called a and b
}

// side is what one name is, and has below it.
func (k *exchanges) side(path string) harness.Tree {
	k.t.Helper()
	own, err := harness.Look(path, false)
	must(k.t, err)
	tree := harness.Tree{".": own}
	if strings.HasPrefix(own, "d") {
		below, err := harness.ReadTree(path)
		must(k.t, err)
		for name, look := range below {
			tree[name] = look
		}
	}
	return tree
}

func (k *exchanges) look() { k.sides = [2]harness.Tree{k.side(k.a), k.side(k.b)} }

// kill exchanges until the mount is killed, and looks at what the next one shows.
func (k *exchanges) kill() {
	k.t.Helper()
	after := time.Duration(k.r.IntN(120)) * time.Millisecond
	done := make(chan error, 1)
	var n int // exchanges that were confirmed
	go func() {
		for {
			if err := unix.Renameat2(unix.AT_FDCWD, k.a, unix.AT_FDCWD, k.b, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
			n++
		}
	}()
	select {
	case err := <-done:
		k.t.Fatalf("exchange %d, of a mount that lives: %v", n, err)
	case <-time.After(after): // of a real process: there is no clock to fake
	}
	k.p.Kill()
	select {
	case err := <-done:
		if !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
			k.t.Errorf("exchange, killed: %v", err)
		}
	case <-time.After(time.Minute):
		k.t.Fatal("the exchange does not return, though its mount was killed a minute ago")
	}
	k.p.Clear()
	k.p.Start()
	wantNames(k.t, k.p.Dir, "a", "b")
	was := k.sides
	k.look()
	if n%2 == 1 {
		was[0], was[1] = was[1], was[0]
	}
	same := len(was[0].Differences(k.sides[0])) == 0 && len(was[1].Differences(k.sides[1])) == 0
	swapped := len(was[0].Differences(k.sides[1])) == 0 && len(was[1].Differences(k.sides[0])) == 0
	if !same && !swapped {
		k.t.Errorf("killed after %v, %d exchanges: a is %v, b is %v; they were %v and %v", after, n, k.sides[0], k.sides[1], was[0], was[1])
	}
	if k.t.Failed() {
		k.t.FailNow()
	}
}

// Two files are exchanged, of which the bucket has one, which takes requests. Who has one of them open, or looks its name up meanwhile,
// sees what it was or what it is then, and never the one with the other's size or bytes.
// SEMANTICS 6.3
func TestExchangeOfWhatIsLookedAt(t *testing.T) {
	b := harness.New(t, func(o *fsOptions) { o.TTL = time.Nanosecond }) // the kernel believes nothing
	one, other := noise(1, 1000), noise(2, 500)
	must(t, b.Server.Put(harness.Bucket, "one", one, nil))
	must(t, os.WriteFile(b.Path("other"), other, 0o644))
	open, err := os.Open(b.Path("one"))
	must(t, err)
	_, err = open.Stat()
	must(t, err)
	b.Server.SetFaults(ossserver.Fault{Op: "CopyObject", Kind: ossserver.Stall, Stall: 200 * time.Millisecond})
	done := make(chan error, 1)
	go func() {
		done <- unix.Renameat2(unix.AT_FDCWD, b.Path("one"), unix.AT_FDCWD, b.Path("other"), unix.RENAME_EXCHANGE)
	}()
	for over := false; !over && !t.Failed(); {
		select {
		case err := <-done:
			must(t, err)
			over = true
		default:
		}
		st, err := open.Stat()
		if err != nil || st.Size() != int64(len(one)) {
			t.Errorf("the open file: %v, %+v, want %d bytes", err, st, len(one))
		}
		again, err := os.Open(b.Path("one"))
		if err != nil {
			t.Errorf("opened meanwhile: %v", err)
			continue
		}
		got, err := io.ReadAll(again)
		if err != nil || !bytes.Equal(got, one) && !bytes.Equal(got, other) {
			t.Errorf("read meanwhile: %d bytes (%v)", len(got), err)
		}
		must(t, again.Close())
	}
	b.Server.SetFaults()
	must(t, open.Close())
	for range 2 {
		wantFile(t, b.Path("one"), other)
		wantFile(t, b.Path("other"), one)
		b.Afresh()
	}
}
