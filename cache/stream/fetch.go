package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ossfs/ossfs/cache"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/crc"
)

// errGivenUp ends a fetch of which nobody wants anything more. No reader ever sees it.
var errGivenUp = errors.New("given up")

// errTimeout is the cause of a fetch's end that does not get on.
var errTimeout = errors.New("timeout")

// fetch is one GET under way, for consecutive blocks. Its fields are guarded by the object's lock.
type fetch struct {
	obj    *object
	slots  []*slot
	cancel context.CancelCauseFunc
	conn   bool // it has a connection already

	wanted int  // slots that are held and not complete
	keep   bool // go on when nothing is wanted: the bytes go to the store of ranges
	give   bool // the kernel is given the blocks
	sweep  bool // it is a piece of the sweep of the whole object
	dead   bool // given up: its slots are out of the object
}

// startLocked begins a GET of the blocks [first, end), of which none has a slot. It returns nil when the
// memory is not there or, for what reads ahead, no connection.
func (o *object) startLocked(first, end int64, how manner) *fetch {
	p, ahead := o.pool, how.ahead
	var cost int64
	for i := first; i < end; i++ {
		cost += cache.BlockCost(o.version.Size, i)
	}
	if !p.governor.admit(cost, ahead) {
		return nil
	}
	ctx, cancel := context.WithCancelCause(p.ctx)
	t := &fetch{obj: o, cancel: cancel, conn: ahead, keep: how.keep, give: how.give, slots: make([]*slot, end-first)}
	for i := range t.slots {
		index := first + int64(i)
		s := &slot{obj: o, index: index, cost: cache.BlockCost(o.version.Size, index), fetch: t, gift: how.give, offered: how.scan}
		t.slots[i] = s
		o.slots[index] = s
	}
	o.random.fetched += cost
	p.counters.gets.Add(1)
	go t.run(ctx)
	return t
}

// run is the fetch's goroutine.
func (t *fetch) run(ctx context.Context) {
	defer t.obj.pool.governor.running.Done()
	defer t.cancel(nil)
	timeout := t.obj.pool.opts.FetchTimeout
	timer := time.AfterFunc(timeout, func() { t.cancel(errTimeout) })
	defer timer.Stop()
	err := t.transfer(ctx, func() { timer.Reset(timeout) })
	if err != nil && context.Cause(ctx) == errTimeout {
		err = &ossclient.Error{Op: "GetObject", Key: t.obj.version.Key, Kind: ossclient.ErrUnavailable,
			Err: fmt.Errorf("no block came for %v", timeout)}
	}
	t.finish(err)
}

// giveUpLocked ends t if nobody wants what is still to come.
func (o *object) giveUpLocked(t *fetch) {
	if t.wanted > 0 || t.keep || t.dead {
		return
	}
	t.dead = true
	for _, s := range t.slots {
		if s.fetch == t && o.slots[s.index] == s {
			delete(o.slots, s.index)
			s.err = errGivenUp
		}
	}
	t.cancel(errGivenUp)
}

// transfer fetches the blocks; it calls alive after each step.
func (t *fetch) transfer(ctx context.Context, alive func()) error {
	o := t.obj
	p := o.pool
	if !t.conn {
		if err := p.governor.conn(ctx); err != nil {
			return err
		}
	}
	defer p.governor.endConn()
	alive()
	off := t.slots[0].index * cache.BlockSize
	end := min((t.slots[len(t.slots)-1].index+1)*cache.BlockSize, o.version.Size)
	body, object, err := o.get(ctx, off, end-off)
	if err != nil {
		return err
	}
	defer body.Close() // its error would change nothing: the bytes were counted
	if object.HasCRC64 {
		o.lock()
		o.sums.expect(object.CRC64)
		o.unlock()
	}
	for i, s := range t.slots {
		if err := t.fill(body, s, i == len(t.slots)-1); err != nil {
			return fmt.Errorf("reading %s: %w", o.version.Key, err)
		}
		alive()
	}
	return nil
}

// fill reads one block and tells who waits for it of each step.
func (t *fetch) fill(body io.Reader, s *slot, last bool) error {
	o := t.obj
	block, err := o.pool.ranges.NewBlock(o.version, s.index)
	if err != nil {
		return err
	}
	o.lock()
	s.block = block // finish releases it, if this fails
	dead := t.dead
	o.unlock()
	if dead {
		return errGivenUp
	}
	buf := block.Bytes()
	for filled := 0; filled < len(buf); {
		n, err := body.Read(buf[filled:])
		filled += n
		o.pool.counters.bytes.Add(int64(n))
		if filled == len(buf) {
			break
		}
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		o.lock()
		s.filled = filled
		s.wakeLocked(false)
		o.unlock()
	}
	if last {
		if n, err := body.Read(make([]byte, 1)); n != 0 || err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%d bytes too many: %w", n, err)
		}
	}
	block.SetSum(crc.Update(0, buf))
	o.lock()
	defer o.unlock()
	if t.dead {
		return errGivenUp
	}
	if t.give {
		o.giveLocked(s)
	}
	o.completeLocked(s)
	o.giveUpLocked(t) // if that was the last one that somebody wanted
	return nil
}

// finish gives back what was not filled, and tells why.
func (t *fetch) finish(err error) {
	o := t.obj
	o.lock()
	defer o.unlock()
	t.dead = true
	for _, s := range t.slots {
		if s.fetch != t {
			continue // complete
		}
		if s.err == nil {
			s.err = err
		}
		s.fetch = nil
		o.removeLocked(s)
		s.wakeLocked(true)
	}
	if t.sweep {
		o.random.sweeps--
		if err != nil {
			o.random.sweeping = false // it is begun anew when more reads find nothing
		}
	}
	o.sweepLocked()
}
