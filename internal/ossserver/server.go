package ossserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/sign"
	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// Server is an OSS server. It is an http.Handler; Start puts it on a port.
type Server struct {
	opts  Options
	store *store.Store
	sign  *sign.Verifier
	keys  map[string]sign.Secret
	ids   requestIDs

	stats  stats
	faults faults
	speed  speed

	running sync.RWMutex // held for reading by each request, taken by Close to wait for them

	mu    sync.Mutex       // guards the field below
	doors map[string]*door // by their endpoints
}

// door is a port that the server listens on.
type door struct {
	http        *http.Server
	connections connections
	done        chan struct{} // closed when Serve has returned
}

// New makes a server, with what its directory holds. It fails when the directory cannot be used or another
// server uses it.
func New(o Options) (*Server, error) {
	if o.Region == "" {
		o.Region = defaultRegion
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MinPartSize == 0 {
		o.MinPartSize = defaultMinPart
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	st, err := store.Open(store.Options{Dir: o.Dir, Change: o.Change})
	if err != nil {
		return nil, fmt.Errorf("OSS server: %w", err)
	}
	s := &Server{opts: o, store: st, keys: map[string]sign.Secret{}, doors: map[string]*door{}}
	for _, k := range o.Keys {
		s.keys[k.ID] = sign.Secret{Secret: k.Secret, Token: k.Token, Expires: k.Expires}
	}
	s.sign = &sign.Verifier{
		Look:   func(id string) (sign.Secret, bool) { k, ok := s.keys[id]; return k, ok },
		Now:    o.Now,
		Region: o.Region,
	}
	s.ids.start = uint64(o.Now().UnixNano())
	s.faults.init(o.Seed)
	s.SetFaults(o.Faults...)
	s.SetLatency(o.Latency)
	s.SetBandwidth(o.Bandwidth)
	return s, nil
}

// Start listens on addr ("127.0.0.1:0" takes any port) and returns the endpoint, "http://127.0.0.1:PORT". It may be called again, for a
// client that is to be told from the others.
func (s *Server) Start(addr string) (endpoint string, err error) { return s.StartBehind(addr, s) }

// StartBehind is Start with a handler of the caller's, which passes to the Server what it will, and is as slow.
func (s *Server) StartBehind(addr string, front http.Handler) (endpoint string, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("OSS server: %w", err)
	}
	d := &door{done: make(chan struct{})}
	d.http = &http.Server{
		Handler:           front,
		ConnState:         d.connections.note,
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	endpoint = "http://" + l.Addr().String()
	s.mu.Lock()
	s.doors[endpoint] = d
	s.mu.Unlock()
	go func() {
		defer close(d.done)
		_ = d.http.Serve(&listener{l, &s.speed}) // ends with ErrServerClosed, by Close
	}()
	return endpoint, nil
}

// Close ends the connections, waits for the requests under way and closes the store. It is safe to call twice.
func (s *Server) Close() error {
	s.mu.Lock()
	doors := s.doors
	s.doors = map[string]*door{}
	s.mu.Unlock()
	var errs []error
	s.faults.close()
	for _, d := range doors {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if d.http.Shutdown(ctx) != nil {
			errs = append(errs, d.http.Close())
		}
		cancel()
		<-d.done
	}
	s.running.Lock()
	defer s.running.Unlock()
	return errors.Join(append(errs, s.store.Close())...)
}

// SetLatency changes how long each request waits before it is looked at.
func (s *Server) SetLatency(d time.Duration) { s.speed.latency.Store(int64(d)) }

// SetBandwidth changes the limit of each connection and direction, in bytes per second; 0: none.
func (s *Server) SetBandwidth(n int64) { s.speed.bandwidth.Store(n) }
