package ossclient

import (
	"bufio"
	"errors"
	"math"
	"net"
	"sync"
	"syscall"
	"time"
)

// link is a connection of direct. It is used by one request at a time.
type link struct {
	net.Conn                 // TCP, or TLS over it
	raw      syscall.RawConn // of the TCP connection; nil: not known
	tls      bool
	place    place
	r        *bufio.Reader
	w        *bufio.Writer
	lost     bool  // it does not take what is written
	left     int64 // bytes that may come
	since    time.Time
}

const unlimited = math.MaxInt64

var errLargeHeaders = errors.New("the answer's headers are too large")

func newLink(c, tcp net.Conn, p place) *link {
	l := &link{Conn: c, place: p, tls: p.scheme == "https"}
	if s, ok := tcp.(syscall.Conn); ok {
		l.raw, _ = s.SyscallConn() // without it a dead connection is found when it is used
	}
	l.r, l.w = bufio.NewReaderSize(l, readBuffer), bufio.NewWriterSize(l, writeBuffer)
	return l
}

// Read reads from the connection, headers within the limit.
func (l *link) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLargeHeaders
	}
	n, err := l.Conn.Read(p)
	if l.left != unlimited {
		l.left -= int64(n)
	}
	return n, err
}

// Write writes to the connection, and notes whether it failed: what was to be written may be what failed.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.lost = l.lost || err != nil
	return n, err
}

// abort ends what waits for the connection; it is of no use any more.
func (l *link) abort() { _ = l.SetDeadline(aLongTimeAgo) }

// idleLinks are the connections that wait for a request, the one that was used last taken first.
type idleLinks struct {
	most int // for a place

	mu     sync.Mutex // guards the fields below
	links  map[place][]*link
	timer  *time.Timer // runs while there are any
	closed bool
}

// take gives a connection that is alive, as far as can be seen; nil: there is none.
func (i *idleLinks) take(p place) *link {
	for {
		i.mu.Lock()
		list := i.links[p]
		if len(list) == 0 {
			i.mu.Unlock()
			return nil
		}
		l := list[len(list)-1]
		list[len(list)-1] = nil
		i.links[p] = list[:len(list)-1]
		i.mu.Unlock()
		if time.Since(l.since) < idleTimeout && l.alive() {
			return l
		}
		_ = l.Close() // its server has closed it, or is about to
	}
}

// put keeps a connection for the next request.
func (i *idleLinks) put(l *link) {
	l.since = time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.links[l.place]) >= i.most {
		_ = l.Close() // there are enough
		return
	}
	if i.links == nil {
		i.links = make(map[place][]*link)
	}
	i.links[l.place] = append(i.links[l.place], l)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleTimeout, i.tidy)
	}
}

// tidy closes the connections that are idle for too long.
func (i *idleLinks) tidy() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer = nil
	for p, list := range i.links {
		old := 0
		for old < len(list) && time.Since(list[old].since) >= idleTimeout {
			_ = list[old].Close() // nobody needs it
			old++
		}
		if list = append([]*link(nil), list[old:]...); len(list) == 0 {
			delete(i.links, p)
		} else {
			i.links[p] = list
		}
	}
	if len(i.links) > 0 {
		i.timer = time.AfterFunc(idleTimeout/2, i.tidy)
	}
}

// close closes the idle connections; who comes later is closed, too.
func (i *idleLinks) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, list := range i.links {
		for _, l := range list {
			_ = l.Close() // nobody needs it
		}
	}
	i.links, i.closed = nil, true
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
