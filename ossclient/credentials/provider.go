package credentials

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// Patience is how long a request waits for a renewal once the old credentials have expired.
const Patience = 30 * time.Second

const (
	renewMargin   = 15 * time.Minute // before the expiry, at most; a quarter of the lifetime, else
	recheck       = 5 * time.Minute  // for credentials that do not say when they expire
	renewTimeout  = 45 * time.Second // for a renewal with all its tries
	renewTries    = 3                // in one renewal, when what failed may pass
	firstBackoff  = time.Second      // after a renewal that failed; doubled each time
	longestPause  = time.Minute      // between renewals, while the old credentials last
	longestWait   = 5 * time.Second  // between renewals, once requests wait
	rejectedPause = 10 * time.Second // between renewals that are due to a service refusing what we have
)

// Provider remembers credentials and renews them. All its methods may be called from many goroutines.
type Provider struct {
	sources   []named
	bucket    string
	log       *slog.Logger
	anonymous bool
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	flights   sync.WaitGroup

	mu       sync.Mutex // guards what follows; never held across a request
	current  sealed     // nil: none yet
	expires  time.Time  // of current; zero: never
	used     *named     // where current came from; once set, never changed
	attempts []Attempt  // what the search went through
	doubted  bool       // the service refused current
	renewAt  time.Time  // when current is to be renewed
	retryAt  time.Time  // no renewal before
	renewed  time.Time
	failures int           // in a row
	lastErr  error         // of the last renewal; nil when it succeeded
	flight   chan struct{} // closed when the renewal under way is over; nil: none is
}

var (
	_ ossclient.Credentials = (*Provider)(nil)
	_ ossclient.Renewer     = (*Provider)(nil)
)

func newProvider(sources []named, bucket string, log *slog.Logger) *Provider {
	ctx, cancel := context.WithCancel(context.Background())
	return &Provider{sources: sources, bucket: bucket, log: log, ctx: ctx, cancel: cancel}
}

// Anonymous reports whether requests are to be sent unsigned: a client is then given no credentials at
// all, not this provider.
func (p *Provider) Anonymous() bool { return p.anonymous }

// Close ends a renewal that is under way and waits for it. Retrieve fails from then on.
func (p *Provider) Close() {
	if p.cancel != nil {
		p.mu.Lock() // so that no renewal starts once this waits for the last
		p.cancel()
		p.mu.Unlock()
	}
	p.flights.Wait()
}

// Retrieve gives the credentials to sign with: from memory, but for the first time and when they have
// expired. Its error is an *ossclient.Error of the kind ErrCredentials, or ErrCanceled when ctx ended.
func (p *Provider) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	if p.anonymous {
		return ossclient.Credential{}, nil
	}
	var until time.Time // how long this call is ready to wait for credentials to become valid again
	for {
		c, again, err := p.poll(&until)
		if again == nil {
			return c, err
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ossclient.Credential{}, p.fail(ossclient.ErrCanceled, context.Cause(ctx))
		}
	}
}

// poll answers from memory, or returns a channel that says when to ask again.
func (p *Provider) poll(until *time.Time) (ossclient.Credential, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.ctx.Err() != nil {
		return ossclient.Credential{}, nil, p.fail(ossclient.ErrCredentials, context.Canceled)
	}
	if p.validLocked(now) {
		if p.flight == nil && !now.Before(p.renewAt) && !now.Before(p.retryAt) {
			p.startLocked()
		}
		return p.current(), nil, nil
	}
	if until.IsZero() {
		*until = now.Add(Patience)
	}
	switch {
	case p.flight != nil:
		return ossclient.Credential{}, p.flight, nil
	case !now.Before(p.retryAt):
		p.startLocked()
		return ossclient.Credential{}, p.flight, nil
	case p.current == nil, !p.retryAt.Before(*until):
		return ossclient.Credential{}, nil, p.fail(ossclient.ErrCredentials, p.lastErr)
	}
	return ossclient.Credential{}, after(p.retryAt.Sub(now)), nil
}

// after is closed when d has passed.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

func (p *Provider) validLocked(now time.Time) bool {
	return p.current != nil && !p.doubted && (p.expires.IsZero() || now.Before(p.expires))
}

// Rejected says that the service refused c as unknown or expired. It reports whether others are there,
// or are looked up, so that the request is worth repeating; the next Retrieve waits for them. What has
// just been looked up is not looked up again.
func (p *Provider) Rejected(c ossclient.Credential) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return false
	}
	if have := p.current(); have.ID != c.ID || have.Token != c.Token {
		return true
	}
	now := time.Now()
	if p.doubted {
		return true
	}
	if now.Sub(p.renewed) < rejectedPause || now.Before(p.retryAt) {
		return false
	}
	p.doubted = true
	return true
}

// startLocked begins a renewal. It runs under the provider's context, not that of the request which
// found it due: others wait for it, too.
func (p *Provider) startLocked() {
	done := make(chan struct{})
	p.flight = done
	p.flights.Add(1)
	go func() {
		defer p.flights.Done()
		ctx, cancel := context.WithTimeout(p.ctx, renewTimeout)
		defer cancel()
		p.finish(p.renew(ctx))
		close(done)
	}()
}

// found is the result of a renewal.
type found struct {
	cred     sealed
	used     *named
	attempts []Attempt
	err      error
}

// renew asks the source in use, or searches for one.
func (p *Provider) renew(ctx context.Context) found {
	p.mu.Lock()
	used := p.used
	p.mu.Unlock()
	if used == nil {
		return p.search(ctx)
	}
	c, err := ask(ctx, used.source)
	return found{cred: seal(c), used: used, err: err}
}

// search goes through the sources. One that fails ends it.
func (p *Provider) search(ctx context.Context) found {
	var f found
	for i := range p.sources {
		n := &p.sources[i]
		c, err := ask(ctx, n.source)
		a := Attempt{Name: n.name, Source: n.source.String()}
		over, passed := asPassedOver(err)
		switch {
		case err == nil:
			a.Outcome = Used
			f.cred, f.used = seal(c), n
		case passed:
			a.Outcome, a.Why = Absent, over.why
			if over.present {
				a.Outcome = Unusable
			}
		default:
			a.Outcome, a.Why = Failed, err.Error()
			f.err = fmt.Errorf("%s: %w", n.source, err)
		}
		f.attempts = append(f.attempts, a)
		if !passed {
			return f
		}
	}
	f.err = notFound(f.attempts)
	return f
}

// ask asks a source, up to renewTries times while what fails is said to pass.
func ask(ctx context.Context, source Source) (ossclient.Credential, error) {
	pause := firstBackoff / 4
	for try := 1; ; try++ {
		c, err := source.Retrieve(ctx)
		if err == nil {
			if !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
				return ossclient.Credential{}, &failure{why: "it gave credentials that expired at " + c.Expires.UTC().Format(time.RFC3339)}
			}
			return c, nil
		}
		if !isTemporary(err) || try == renewTries {
			return ossclient.Credential{}, err
		}
		select {
		case <-time.After(jitter(pause)):
			pause *= 2
		case <-ctx.Done():
			return ossclient.Credential{}, err
		}
	}
}

// jitter is between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// finish takes over the result of a renewal, and says in the log what an administrator must know.
func (p *Provider) finish(f found) {
	p.mu.Lock()
	now := time.Now()
	before := p.failures
	p.flight, p.doubted = nil, false
	if f.attempts != nil {
		p.attempts = f.attempts
	}
	p.lastErr = f.err
	if f.err == nil {
		p.current, p.expires, p.used = f.cred, f.cred().Expires, f.used
		p.renewed, p.failures = now, 0
		p.renewAt, p.retryAt = now.Add(untilRenewal(p.expires, now)), time.Time{}
	} else {
		p.failures++
		p.retryAt = now.Add(p.pauseLocked(now))
	}
	expires, retry, found := p.expires, p.retryAt, p.current != nil
	p.mu.Unlock()

	switch {
	case f.err != nil && found && p.ctx.Err() == nil:
		p.log.Warn("credentials were not renewed; the old ones are used while they last",
			"source", f.used.source.String(), "err", f.err, "failures", before+1, "expires", expires, "next try", retry)
	case f.err == nil && before > 0:
		p.log.Info("credentials renewed again", "source", f.used.source.String(), "failures", before, "expires", expires)
	case f.err == nil && f.attempts != nil:
		p.logSearch(f)
	}
}

func (p *Provider) logSearch(f found) {
	for _, a := range f.attempts {
		if a.Outcome == Unusable {
			p.log.Warn("a source of credentials cannot be used", "source", a.Source, "why", a.Why)
		}
	}
	p.log.Info("credentials found", "source", f.used.source.String(), "id", Mask(f.cred().ID))
}

// untilRenewal is how long credentials are used before they are asked for again.
func untilRenewal(expires, now time.Time) time.Duration {
	if expires.IsZero() {
		return recheck
	}
	left := expires.Sub(now)
	return max(left-min(left/4, renewMargin), time.Second)
}

// pauseLocked is how long to wait after a failure. Requests that wait shorten it.
func (p *Provider) pauseLocked(now time.Time) time.Duration {
	longest := longestPause
	if !p.validLocked(now) {
		longest = longestWait
	}
	pause := firstBackoff << min(p.failures-1, 10)
	pause = jitter(min(pause, longest))
	if p.validLocked(now) && !p.expires.IsZero() {
		pause = min(pause, max(p.expires.Sub(now), firstBackoff)) // be back when they expire
	}
	return pause
}

func (p *Provider) fail(kind, cause error) error {
	return &ossclient.Error{Op: "GetCredentials", Bucket: p.bucket, Kind: kind, Err: cause}
}
