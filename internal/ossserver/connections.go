package ossserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// connections counts those that are open.
type connections struct {
	mu   sync.Mutex // guards the fields below
	open int
	none chan struct{} // closed when open becomes 0; nil: nobody waits
}

// note is told of each connection's states.
func (c *connections) note(_ net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
	case http.StateClosed, http.StateHijacked:
		c.open--
	case http.StateActive, http.StateIdle:
	}
	if c.open == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// Deserted returns when no client is connected to an endpoint any more and what they asked for has had its effect: a request of a
// client that was killed may still be on its way through the server.
func (s *Server) Deserted(ctx context.Context, endpoint string) error {
	s.mu.Lock()
	d := s.doors[endpoint]
	s.mu.Unlock()
	if d == nil {
		return fmt.Errorf("OSS server: nothing listens at %s", endpoint)
	}
	c := &d.connections
	c.mu.Lock()
	if c.open > 0 && c.none == nil {
		c.none = make(chan struct{})
	}
	none := c.none
	c.mu.Unlock()
	if none != nil {
		select {
		case <-none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.running.Lock() // those whose connection was taken over
	defer s.running.Unlock()
	return nil
}
