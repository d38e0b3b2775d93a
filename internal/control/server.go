package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxRequest    = 64 << 10 // bytes
	headerTimeout = 10 * time.Second
)

// Server answers on a mount's socket.
type Server struct {
	http *http.Server
	done chan struct{} // closed when Serve has ended
}

// Serve starts to answer on l with what h does, until Close.
func Serve(l net.Listener, h Handler) *Server {
	mux := http.NewServeMux()
	s := &Server{
		http: &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout},
		done: make(chan struct{}),
	}
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { serveStatus(w, r, h) })
	mux.HandleFunc("POST /v1/refresh", func(w http.ResponseWriter, r *http.Request) {
		stream(w, func(func(line)) (Result, error) {
			return Result{}, h.Refresh(r.Context(), r.URL.Query().Get("path"))
		})
	})
	mux.HandleFunc("POST /v1/flush", func(w http.ResponseWriter, r *http.Request) {
		stream(w, func(send func(line)) (Result, error) {
			return h.Flush(r.Context(), r.URL.Query().Get("path"), reporter(send))
		})
	})
	mux.HandleFunc("POST /v1/unmount", func(w http.ResponseWriter, r *http.Request) {
		var req UnmountRequest
		if decode(w, r, &req) {
			stream(w, func(send func(line)) (Result, error) { return h.Unmount(r.Context(), req, reporter(send)) })
		}
	})
	mux.HandleFunc("POST /v1/leave", func(w http.ResponseWriter, r *http.Request) {
		var req LeaveRequest
		if decode(w, r, &req) {
			stream(w, func(send func(line)) (Result, error) {
				return h.Leave(r.Context(), req, func() { send(line{Ready: true}) }, reporter(send))
			})
		}
	})
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it ends with ErrServerClosed; a listener that broke leaves the mount as it is
	}()
	return s
}

// Close ends the socket. Requests under way get until the context's end to finish.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}

func serveStatus(w http.ResponseWriter, r *http.Request, h Handler) {
	status, err := h.Status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) // the caller went away
}

// decode reads a request's body, or answers that it cannot be read.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func reporter(send func(line)) func(Progress) {
	return func(p Progress) { send(line{Progress: &p}) }
}

// stream answers with JSON lines: what work sends, then how it ended.
func stream(w http.ResponseWriter, work func(send func(line)) (Result, error)) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	var mu sync.Mutex // guards the encoder: reports may come from several goroutines
	encoder := json.NewEncoder(w)
	flush := http.NewResponseController(w).Flush
	send := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		if encoder.Encode(l) == nil { // else the caller went away, and the request's context ends
			_ = flush()
		}
	}
	result, err := work(send)
	if err != nil {
		send(line{Failure: toFailure(err)})
		return
	}
	send(line{Result: &result})
}

func toFailure(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return &Failure{Kind: KindCancel, Text: err.Error()}
	default:
		return &Failure{Kind: KindOther, Text: err.Error()}
	}
}
