package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
)

// The NBD protocol, as far as qemu speaks it to us (proto.md of the project NetworkBlockDevice/nbd).
const (
	nbdMagic       = 0x4e42444d41474943
	nbdOption      = 0x49484156454f5054
	nbdOptionReply = 0x3e889045565a9
	nbdRequest     = 0x25609513
	nbdReply       = 0x67446698

	optionGo         = 7
	replyAck         = 1
	replyInfo        = 3
	replyUnsupported = 1<<31 + 1
	flagsOfHandshake = 1 | 2           // fixed newstyle, no zeroes
	flagsOfDisk      = 1 | 1<<2 | 1<<3 // has flags, knows flush, knows "force unit access"
	commandRead      = 0
	commandWrite     = 1
	commandFlush     = 3
	withForce        = 1
)

const sector = 512

// volatileDisk is a disk with a cache that a loss of power empties.
type volatileDisk struct {
	mu      sync.Mutex // guards the fields below
	now     []byte     // what the guest reads
	durable []byte
	pending []extent // written since the last flush, in order
	trap    *trap
	gone    chan struct{} // closed when nobody can see any more that nothing is done
}

// trap has the power go at a moment that matters: when enough was written that is not flushed, or at a flush. From then on the
// disk does nothing any more.
type trap struct {
	writes  int  // not flushed; 0: they do not matter
	flushes int  // of something; 0: they do not matter
	seen    int  // of them
	after   bool // that flush is the last thing that the disk does; else it is not done any more
	sprung  chan struct{}
}

func newTrap() *trap { return &trap{sprung: make(chan struct{})} }

func (t *trap) String() string {
	switch {
	case t.writes > 0:
		return fmt.Sprintf("with %d writes", t.writes)
	case t.after:
		return fmt.Sprintf("after %d flushes", t.flushes)
	}
	return fmt.Sprintf("before %d flushes", t.flushes)
}

type extent struct {
	off  int64
	data []byte
}

func newDisk(image []byte) *volatileDisk {
	return &volatileDisk{now: slices.Clone(image), durable: image, trap: newTrap(), gone: make(chan struct{})}
}

// write says whether it was done: not when the power is gone.
func (d *volatileDisk) write(off int64, p []byte, force bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.offLocked() {
		return false
	}
	copy(d.now[off:], p)
	d.pending = append(d.pending, extent{off, p})
	if len(d.pending) == d.trap.writes {
		close(d.trap.sprung)
		return false
	}
	return !force || d.barrierLocked() // more than asked for: what came before it, too
}

// flush says whether it was done.
func (d *volatileDisk) flush() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.offLocked() && d.barrierLocked()
}

func (d *volatileDisk) barrierLocked() bool {
	if d.trap.flushes > 0 && len(d.pending) > 0 {
		if d.trap.seen++; d.trap.seen == d.trap.flushes {
			if d.trap.after {
				d.flushLocked()
			}
			close(d.trap.sprung)
			return false
		}
	}
	d.flushLocked()
	return true
}

// set sets a trap.
func (d *volatileDisk) set(t *trap) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trap = t
}

// off has the disk do nothing any more.
func (d *volatileDisk) off() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.offLocked() {
		close(d.trap.sprung)
	}
}

func (d *volatileDisk) offLocked() bool {
	select {
	case <-d.trap.sprung:
		return true
	default:
		return false
	}
}

func (d *volatileDisk) flushLocked() {
	for _, e := range d.pending {
		copy(d.durable[e.off:], e.data)
	}
	d.pending = nil
}

// cut is the disk after a loss of power: of what was not flushed each write is there, or not, or its first sectors are. It
// returns how many there were.
func (d *volatileDisk) cut(rng *rand.Rand) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.pending)
	kept := rng.Float64() // of this cut: from hardly any to nearly all
	for _, e := range d.pending {
		switch {
		case rng.Float64() < kept:
		case rng.IntN(4) == 0:
			e.data = e.data[:rng.IntN(len(e.data)/sector+1)*sector]
		default:
			continue
		}
		copy(d.durable[e.off:], e.data)
	}
	d.pending, d.now, d.trap, d.gone = nil, slices.Clone(d.durable), newTrap(), make(chan struct{})
	return n
}

// image is a copy of what a machine that starts finds.
func (d *volatileDisk) image() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.durable)
}

// serve answers one client until it goes.
func (d *volatileDisk) serve(c net.Conn) error {
	defer c.Close()
	if err := d.greet(c); err != nil {
		return fmt.Errorf("disk: handshake: %w", err)
	}
	for {
		var q struct {
			Magic   uint32
			Flags   uint16
			Command uint16
			Handle  uint64
			Off     uint64
			Len     uint32
		}
		if err := binary.Read(c, binary.BigEndian, &q); err != nil {
			return nil // the machine is gone, as is wanted
		}
		answer := binary.BigEndian.AppendUint32(nil, nbdReply)
		answer = binary.BigEndian.AppendUint32(answer, 0)
		answer = binary.BigEndian.AppendUint64(answer, q.Handle)
		on := true
		switch q.Command {
		case commandRead:
			d.mu.Lock()
			answer = append(answer, d.now[q.Off:q.Off+uint64(q.Len)]...)
			d.mu.Unlock()
		case commandWrite:
			p := make([]byte, q.Len)
			if _, err := io.ReadFull(c, p); err != nil {
				return nil // a write that was not all here is none
			}
			on = d.write(int64(q.Off), p, q.Flags&withForce != 0)
		case commandFlush:
			on = d.flush()
		default:
			return nil
		}
		if !on {
			<-d.gone
		}
		if _, err := c.Write(answer); err != nil {
			return nil
		}
	}
}

// greet is the fixed newstyle handshake.
func (d *volatileDisk) greet(c io.ReadWriter) error {
	put := func(v ...any) error {
		var err error
		for _, x := range v {
			err = errors.Join(err, binary.Write(c, binary.BigEndian, x))
		}
		return err
	}
	if err := put(uint64(nbdMagic), uint64(nbdOption), uint16(flagsOfHandshake)); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(c, binary.BigEndian, &flags); err != nil {
		return err
	}
	for {
		var o struct {
			Magic       uint64
			Option, Len uint32
		}
		if err := binary.Read(c, binary.BigEndian, &o); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c, int64(o.Len)); err != nil {
			return err
		}
		if o.Option != optionGo {
			if err := put(uint64(nbdOptionReply), o.Option, uint32(replyUnsupported), uint32(0)); err != nil {
				return err
			}
			continue
		}
		const export = 12 // bytes of information about it
		return put(uint64(nbdOptionReply), o.Option, uint32(replyInfo), uint32(export), uint16(0), uint64(len(d.durable)), uint16(flagsOfDisk),
			uint64(nbdOptionReply), o.Option, uint32(replyAck), uint32(0))
	}
}
