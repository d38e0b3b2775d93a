package transport

import "time"

const (
	watchEvery = time.Millisecond // how long the leading loop may take over one request, at least
	restAfter  = 20               // ticks without a request
)

// watch has another loop lead when the one that leads takes too long over a request, which may even wait for one that
// nobody reads. It rests while there are no requests.
func (c *Conn) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var inline, numbers uint64
	for quiet := 0; ; {
		select {
		case <-tick.C:
		case <-c.ended:
			return
		}
		if now := c.inline.Load(); now != 0 && now == inline && c.relieve(now) {
			c.run(true)
		} else {
			inline = now
		}
		if now := c.numbers.Load(); now != numbers || inline != 0 {
			numbers, quiet = now, 0
			continue
		}
		if quiet++; quiet < restAfter {
			continue
		}
		tick.Stop()
		c.rest(numbers)
		select {
		case <-c.wake:
		case <-c.ended:
			return
		}
		tick.Reset(watchEvery)
		quiet = 0
	}
}

// rest has the next request wake the watch, which has seen so many.
func (c *Conn) rest(numbers uint64) {
	c.resting.Store(true)
	if c.numbers.Load() != numbers && c.resting.Swap(false) { // it came just before
		c.wake <- struct{}{}
	}
}
