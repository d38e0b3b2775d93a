package fs

import (
	"sync"
	"sync/atomic"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// The kernel keeps every inode that it has met until its own memory is short, and each costs this process 2 to 4 KiB. So beyond a number of them the kernel is asked to let go of those that nobody uses and that
// were not asked about for longest (FUSE_NOTIFY_PRUNE, since Linux 6.18; others cannot be asked). They are looked up again when
// somebody wants them. What is open, mapped, watched or worked in stays.

const (
	nodeShare  = 16 << 10 // bytes of the memory budget for each inode that is kept: an eighth of them are used
	nodesLeast = 4096
	pruneBatch = 1024                  // inodes in one notice
	pruneRest  = time.Second           // after everything was found to be in use
	forgetWait = 20 * time.Millisecond // for the next FORGET of what was pruned
)

// pruner keeps the number of inodes down.
type pruner struct {
	nodes *table
	most  int
	ask   func([]*fusefs.Inode) bool // has the kernel let go of inodes; false: the connection has ended
	wake  chan struct{}              // one token: there are too many
	quit  chan struct{}
	ended sync.WaitGroup
	high  atomic.Int64 // how many were told of
	grown func(int)    // told when there are thousands more than ever; may be nil
}

func newPruner(nodes *table, memory int64, grown func(int)) *pruner {
	return &pruner{nodes: nodes, most: max(int(memory/nodeShare), nodesLeast), wake: make(chan struct{}, 1), quit: make(chan struct{}), grown: grown}
}

// start begins to prune, if the kernel can be asked to.
func (p *pruner) start(c *calls) {
	p.nodes.met = p.met
	if c.conn.Prunes() {
		p.ask = c.prune
		p.ended.Go(p.run)
	}
}

// close ends it. Nothing waits for the kernel by then: the connection has ended.
func (p *pruner) close() {
	close(p.quit)
	p.ended.Wait()
}

// met hears how many nodes there are.
func (p *pruner) met(count int) {
	if high := p.high.Load(); p.grown != nil && int64(count) > high && p.high.CompareAndSwap(high, int64(count+nodesLeast)) {
		p.grown(count + nodesLeast)
	}
	if count > p.most {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pruner) run() {
	for {
		select {
		case <-p.wake:
		case <-p.quit:
			return
		}
		rest := time.Duration(0)
		if !p.prune() {
			rest = pruneRest
		}
		select {
		case <-time.After(rest):
		case <-p.quit:
			return
		}
	}
}

// prune brings the number down to seven eighths of the most. False: the others are in use.
func (p *pruner) prune() bool {
	low := p.most - p.most/8
	asked := 0
	for count := p.nodes.count(); count > low; count = p.nodes.count() {
		batch := p.nodes.oldest(min(count-low, pruneBatch))
		if asked += max(len(batch), 1); asked > 2*count { // all were used, and then asked about once more
			return false
		}
		if len(batch) == 0 {
			continue
		}
		inodes := make([]*fusefs.Inode, 0, len(batch))
		for _, n := range batch {
			inodes = append(inodes, n.EmbeddedInode())
		}
		if !p.ask(inodes) || !p.settle(count-len(batch)) {
			return false
		}
	}
	return true
}

// settle waits for the FORGETs of what was pruned: they are few to come when there are as few nodes as expected, or when none has come
// for a while. False: it is over.
func (p *pruner) settle(expected int) bool {
	for before := -1; ; {
		now := p.nodes.count()
		if now <= expected || now == before {
			return true
		}
		before = now
		select {
		case <-time.After(forgetWait):
		case <-p.quit:
			return false
		}
	}
}
