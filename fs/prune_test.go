package fs

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/ossfs/ossfs/ossclient"
)

// crowd is a table with a pruner, and a kernel that lets go of what nobody uses a moment after it was asked.
type crowd struct {
	*pruner
	above *node
	held  map[*node]bool // in use
	asked atomic.Int64   // for so many inodes, in all
	most  int            // at once
	over  bool           // the connection has ended
	grown []int
}

func newCrowd() *crowd {
	c := &crowd{above: &node{}, held: make(map[*node]bool)}
	fusefs.NewNodeFS(c.above, &fusefs.Options{})
	c.pruner = newPruner(newTable(), 0, func(n int) { c.grown = append(c.grown, n) })
	c.nodes.keep(&node{ino: rootIno}, "")
	c.ask = c.answer
	c.nodes.met = c.met
	return c
}

func (c *crowd) answer(inodes []*fusefs.Inode) bool {
	c.asked.Add(int64(len(inodes)))
	c.most = max(c.most, len(inodes))
	if c.over {
		return false
	}
	time.AfterFunc(forgetWait/2, func() {
		for _, i := range inodes {
			if n := i.Operations().(*node); !c.held[n] {
				c.nodes.forget(n, n.key)
			}
		}
	})
	return true
}

// meet makes nodes, as lookups do; held are so many of them, the oldest.
func (c *crowd) meet(t *testing.T, count int, used bool, held int) {
	for i := range count {
		key := ossclient.Key(fmt.Sprint(i))
		n := &node{key: key}
		n.used.Store(used)
		c.held[n] = i < held
		c.nodes.claim(n, key, func() {
			c.above.NewInode(t.Context(), n, fusefs.StableAttr{Ino: n.ino, Gen: n.generation})
		})
	}
}

// The kernel is asked when there are more inodes than the bound, and for no more than it takes to have seven eighths of that.
func TestPrune(t *testing.T) {
	const low = nodesLeast - nodesLeast/8
	for name, tt := range map[string]struct {
		met         int // beside the root
		used        bool
		held        int
		want, asked int
	}{
		"as many as may be":  {met: nodesLeast - 1, want: nodesLeast},
		"one more":           {met: nodesLeast, want: low, asked: nodesLeast + 1 - low},
		"many more":          {met: 2 * nodesLeast, want: low, asked: 2*nodesLeast + 1 - low},
		"all were used":      {met: nodesLeast, used: true, want: low, asked: nodesLeast + 1 - low},
		"some are in use":    {met: nodesLeast, held: 500, want: low, asked: nodesLeast + 1 - low + 500},
		"all are, and more":  {met: 2 * nodesLeast, held: 2 * nodesLeast, want: 2*nodesLeast + 1, asked: 2 * 8 * pruneBatch},
		"those of a request": {met: nodesLeast + pruneBatch, want: low, asked: nodesLeast + pruneBatch + 1 - low},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd()
				c.meet(t, tt.met, tt.used, tt.held)
				c.ended.Go(c.run)
				time.Sleep(pruneRest / 2)
				synctest.Wait()
				if got := c.nodes.count(); got != tt.want {
					t.Errorf("%d inodes are left, want %d", got, tt.want)
				}
				if int(c.asked.Load()) != tt.asked || c.most > pruneBatch {
					t.Errorf("the kernel was asked for %d, want %d, and for %d at once", c.asked.Load(), tt.asked, c.most)
				}
				c.close()
			})
		})
	}
}

// The bound is a part of the memory, and no less than a few thousand.
func TestPruneBound(t *testing.T) {
	for memory, want := range map[int64]int{0: nodesLeast, nodesLeast * nodeShare: nodesLeast, 1 << 30: 1 << 16} {
		if got := newPruner(newTable(), memory, nil).most; got != want {
			t.Errorf("%d bytes: %d, want %d", memory, got, want)
		}
	}
}

// When all are in use, the kernel is asked again a while later, and not before there are more.
func TestPruneRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.meet(t, nodesLeast, false, nodesLeast)
		c.ended.Go(c.run)
		wake := func(after time.Duration, asks bool) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			before := c.asked.Load()
			c.met(nodesLeast + 1)
			if synctest.Wait(); (c.asked.Load() > before) != asks {
				t.Errorf("after %v: asked for %d", after, c.asked.Load()-before)
			}
		}
		time.Sleep(pruneRest / 2)
		wake(0, false)
		wake(pruneRest/4, false)
		before := c.asked.Load()
		time.Sleep(pruneRest)
		synctest.Wait()
		if c.asked.Load() == before {
			t.Error("who came in the meantime is forgotten")
		}
		wake(2*pruneRest, true)
		c.close()
	})
}

// The end is not waited for: neither what was asked for, nor the rest after it.
func TestPruneEnds(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it waits": 0, "while it rests": pruneRest / 2, "when there is nothing to do": 2 * pruneRest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd()
				c.meet(t, nodesLeast, false, nodesLeast)
				c.ended.Go(c.run)
				time.Sleep(after)
				synctest.Wait()
				begun, asked := time.Now(), c.asked.Load()
				if c.close(); time.Since(begun) != 0 || c.asked.Load() != asked {
					t.Errorf("it took %v, and %d were asked for", time.Since(begun), c.asked.Load()-asked)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.meet(t, nodesLeast, false, 0)
		c.over = true
		c.ended.Go(c.run)
		time.Sleep(pruneRest / 2)
		synctest.Wait()
		if got := c.asked.Load(); got != nodesLeast+1-(nodesLeast-nodesLeast/8) {
			t.Errorf("the connection has ended, and asked was for %d", got)
		}
		c.close()
	})
}

// Who wants to know hears when there are thousands more than ever.
func TestPruneTells(t *testing.T) {
	c := newCrowd()
	for _, n := range []int{1, 2, nodesLeast + 1, nodesLeast + 2, 2 * nodesLeast, 1, 3 * nodesLeast} {
		c.met(n)
	}
	if want := []int{nodesLeast + 1, 2*nodesLeast + 2, 4 * nodesLeast}; !slices.Equal(c.grown, want) {
		t.Errorf("got %d, want %d", c.grown, want)
	}
}
