package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/ossclient"
)

const metricsHeaderTimeout = 10 * time.Second

// metricsServer answers /metrics and /debug/pprof.
type metricsServer struct {
	listener net.Listener
	http     *http.Server
	registry *prometheus.Registry
	done     chan struct{} // closed when serving has ended; nil before it began
	log      *slog.Logger

	attempts  *prometheus.HistogramVec // by op and outcome, in seconds
	firstByte *prometheus.HistogramVec // by op, in seconds
	sent      *prometheus.CounterVec   // bytes by op
	received  *prometheus.CounterVec   // bytes by op
	repeats   *prometheus.CounterVec   // attempts that repeated a failed one, by op
	kernel    *prometheus.HistogramVec // requests of the kernel by op, in seconds
	errnos    *prometheus.CounterVec   // of them those that failed, by op and errno
}

// openMetrics listens, so that a port that is taken is said before anything is mounted. It returns nil
// when no address is given.
func openMetrics(addr string, log *slog.Logger) (*metricsServer, error) {
	if addr == "" {
		return nil, nil
	}
	addr, err := loopbackUnlessSaid(addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, failf("--metrics %s: %w: choose another port", addr, reason(errors.Unwrap(err)))
	}
	m := &metricsServer{listener: l, log: log, registry: prometheus.NewRegistry()}
	m.define()
	return m, nil
}

// define makes what is counted as it happens. What a mount counts itself are the figures.
func (m *metricsServer) define() {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ossfs_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ossfs_" + name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	network := prometheus.ExponentialBuckets(0.001, 2, 16)  // 1 ms to 32 s
	memory := prometheus.ExponentialBuckets(0.00001, 4, 12) // 10 us to 42 s: from memory, or over the network
	m.attempts = histogram("request_duration_seconds", "Attempts of requests to OSS, to the last byte.", network, "op", "outcome")
	m.firstByte = histogram("request_first_byte_seconds", "Attempts of requests to OSS, to the answer's headers.", network, "op")
	m.sent = counter("sent_bytes_total", "Bytes of bodies sent to OSS.", "op")
	m.received = counter("received_bytes_total", "Bytes of bodies received from OSS.", "op")
	m.repeats = counter("request_retries_total", "Attempts that repeated a failed one.", "op")
	m.kernel = histogram("fuse_request_duration_seconds", "Requests of the kernel, until they were answered.", memory, "op")
	m.errnos = counter("fuse_request_errors_total", "Requests of the kernel that were answered with an error.", "op", "errno")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// loopbackUnlessSaid completes ":9100" and "9100".
func loopbackUnlessSaid(addr string) (string, error) {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usagef("--metrics %s: want HOST:PORT, :PORT or PORT", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", usagef("--metrics %s: %q is no port", addr, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// observe takes an attempt that is over.
func (m *metricsServer) observe(e ossclient.Event) {
	m.attempts.WithLabelValues(e.Op, outcome(e)).Observe(e.Duration.Seconds())
	if e.FirstByte > 0 {
		m.firstByte.WithLabelValues(e.Op).Observe(e.FirstByte.Seconds())
	}
	m.sent.WithLabelValues(e.Op).Add(float64(e.Sent))
	m.received.WithLabelValues(e.Op).Add(float64(e.Received))
	if e.Attempt > 1 {
		m.repeats.WithLabelValues(e.Op).Inc()
	}
}

// answered takes a request of the kernel that is over.
func (m *metricsServer) answered(op fs.Operation) {
	m.kernel.WithLabelValues(op.Name).Observe(op.Took.Seconds())
	if op.Errno != 0 {
		m.errnos.WithLabelValues(op.Name, unix.ErrnoName(op.Errno)).Inc()
	}
}

// outcome is the label of an attempt: few values, whatever servers answer.
func outcome(e ossclient.Event) string {
	switch {
	case e.Err == nil:
		return "ok"
	case errors.Is(e.Err, ossclient.ErrNotExist):
		return "not_found"
	case errors.Is(e.Err, ossclient.ErrPrecondition), errors.Is(e.Err, ossclient.ErrExist):
		return "condition"
	case errors.Is(e.Err, ossclient.ErrPermission), errors.Is(e.Err, ossclient.ErrCredentials):
		return "denied"
	case errors.Is(e.Err, ossclient.ErrThrottled):
		return "throttled"
	case errors.Is(e.Err, ossclient.ErrCanceled):
		return "canceled"
	case e.Status == 0:
		return "network"
	case e.Status >= 500:
		return "server"
	default:
		return "refused"
	}
}

// serve begins to answer, with the mount's own figures.
func (m *metricsServer) serve(figures prometheus.Collector) {
	m.registry.MustRegister(figures)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	m.http = &http.Server{Handler: mux, ReadHeaderTimeout: metricsHeaderTimeout}
	m.done = make(chan struct{})
	m.log.Info("metrics are served", "address", m.listener.Addr().String()) // which of port 0 nobody knows else
	go func() {
		defer close(m.done)
		if err := m.http.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("metrics", "err", err)
		}
	}()
}

func (m *metricsServer) close() {
	if m.http == nil {
		_ = m.listener.Close() // nothing was served
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketPatience)
	defer cancel()
	if m.http.Shutdown(ctx) != nil {
		_ = m.http.Close() // a profile that still runs is cut
	}
	<-m.done
}
