package ossclient

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a [Config].
const (
	defaultRetryBudget = time.Minute
	defaultMaxConns    = 256
	defaultUserAgent   = "ossfs"
)

// Config says which bucket to talk to, how to reach it, and as whom.
type Config struct {
	Bucket   string
	Region   string // such as "cn-hangzhou"; empty: from the endpoint's name, else asked of the bucket
	Endpoint string // "[http[s]://]host[:port]"; empty: made from Region; https when no scheme is given

	Internal   bool // the endpoint made from Region is the one inside Alibaba's network
	Accelerate bool // ... is the global transfer acceleration
	Dualstack  bool // ... answers on IPv4 and IPv6

	Addressing string // auto, virtual, path or cname; empty: auto
	Sign       string // v4, v2 or v1; empty: v4

	Credentials Credentials // nil: requests are anonymous
	CABundle    string      // a PEM file of certificate authorities to trust besides the system's
	UserAgent   string
	Logger      *slog.Logger // nil: nothing is logged
	MaxConns    int          // requests waiting for an answer at once; 0: 256

	// RetryBudget is how long one request may be repeated, from its start; 0: one minute. A broken
	// body that goes on delivering bytes renews it.
	RetryBudget time.Duration

	// Observer is told of each attempt when it is over. It is called from many goroutines and must
	// not block; nil: nobody is told.
	Observer func(Event)

	// Moved is told of bytes of bodies as they move, those of requests that fail included, many times a
	// request. It is called like Observer.
	Moved func(sent, received int64)
}

// Credential is an access key, with a token when it is temporary. It prints as its ID alone.
type Credential struct {
	ID      string
	Secret  string
	Token   string    // the security token of STS; empty for permanent keys
	Expires time.Time // zero: never
}

// String names the key and hides the secret and the token.
func (c Credential) String() string { return "Credential(" + c.ID + ")" }

// Format hides the secret and the token, whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue hides the secret and the token.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Credentials gives the credential to sign with. Retrieve is called for every attempt, from many
// goroutines: it answers from memory except when it must renew. The zero Credential leaves a request
// unsigned.
type Credentials interface {
	Retrieve(ctx context.Context) (Credential, error)
}

// Bucket is one bucket of OSS. Its methods may be called from many goroutines.
type Bucket struct {
	cfg       Config
	target    target
	signer    signer
	transport *direct
	agent     []string // the header User-Agent
	log       *slog.Logger
	gate      *gate
	alarm     *alarm
	patience  patience
	counters  counters
	slow      [slots]latencies
	spare     allowance
	skew      atomic.Int64 // nanoseconds to add to our clock to get the server's

	background sync.WaitGroup // attempts that lost a race and are being closed
}

// Open prepares a bucket's client: it resolves endpoint and region, and asks the bucket for its
// location when neither the configuration nor the endpoint's name tells the region and the signature
// needs it. It sends no other request: whether the bucket exists and may be read, the first request tells.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	return open(ctx, cfg, patience{stall: stallLimit, answer: slowAnswer})
}

func open(ctx context.Context, cfg Config, p patience) (*Bucket, error) {
	cfg.fill()
	t, err := resolve(cfg)
	if err != nil {
		return nil, configError(cfg, err)
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, configError(cfg, err)
	}
	b := &Bucket{
		cfg:       cfg,
		target:    t,
		transport: transport,
		agent:     []string{cfg.UserAgent},
		log:       cfg.Logger,
		gate:      newGate(cfg.MaxConns),
		alarm:     newAlarm(),
		patience:  p,
	}
	if t.region == "" && cfg.Credentials != nil && cfg.Sign == signV4 {
		if err := b.locate(ctx); err != nil {
			b.Close()
			return nil, err
		}
	}
	b.signer = newSigner(cfg.Sign, b.target.region)
	return b, nil
}

func configError(cfg Config, err error) error {
	return &Error{Op: "Open", Bucket: cfg.Bucket, Kind: ErrInvalid, Err: err}
}

// fill puts the defaults where nothing was said.
func (c *Config) fill() {
	if c.Addressing == "" {
		c.Addressing = addressAuto
	}
	if c.Sign == "" {
		c.Sign = signV4
	}
	if c.UserAgent == "" {
		c.UserAgent = defaultUserAgent
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxConns <= 0 {
		c.MaxConns = defaultMaxConns
	}
	if c.RetryBudget <= 0 {
		c.RetryBudget = defaultRetryBudget
	}
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.cfg.Bucket }

// Region is the bucket's region, such as "cn-hangzhou"; empty when it was not needed and is not known.
func (b *Bucket) Region() string { return b.target.region }

// Endpoint is where requests go: scheme and host, bucket included when the host names it.
func (b *Bucket) Endpoint() string { return b.target.scheme + "://" + b.target.host }

// Close waits for requests that were given up to end and closes the idle connections. Requests still
// running are the callers' to cancel.
func (b *Bucket) Close() {
	b.background.Wait()
	b.transport.CloseIdleConnections()
}

// Now is the time by OSS's clock, as far as it is known to be another than ours.
func (b *Bucket) Now() time.Time { return b.now() }

// now is the server's time as far as we know it.
func (b *Bucket) now() time.Time { return time.Now().Add(time.Duration(b.skew.Load())) }
