package transport

import (
	"runtime"
	"testing"
)

// others lets the other goroutines run as far as they can.
func others() {
	for range 10_000 {
		runtime.Gosched()
	}
}

// A loop that is relieved is never gone before the one that relieves it is counted: with no loop counted, Serve would close
// a connection that is in use.
func TestRelievedLoopLeavesNoGap(t *testing.T) {
	var c Conn
	c.relieving.Lock()
	c.inline.Store(0)
	counted := false // guarded by c.relieving, as the count of the loops is
	gone := make(chan bool, 1)
	go func() {
		c.leadsStill(7)
		gone <- counted
	}()
	others()
	counted = true
	c.relieving.Unlock()
	if !<-gone {
		t.Error("the loop went while another was about to lead")
	}
}

// A loop is relieved and the next one counted in one step.
func TestRelieveCountsInOneStep(t *testing.T) {
	var c Conn
	c.inline.Store(7)
	c.relieving.Lock()
	relieved := make(chan bool)
	go func() { relieved <- c.relieve(7) }()
	others()
	if c.inline.Load() != 7 {
		t.Error("the loop was relieved by one that did not hold the lock")
	}
	c.relieving.Unlock()
	if !<-relieved {
		t.Error("the loop was not relieved")
	}
	c.loops.Done() // it was counted: else this panics
	c.loops.Wait()
	if c.inline.Load() != 0 || c.relieve(7) || c.leadsStill(7) {
		t.Error("the loop leads still")
	}
}
