package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// clockwork is a source that gives numbered keys which live for a while, and fails on demand.
type clockwork struct {
	life  time.Duration // 0: for ever
	takes time.Duration
	fail  atomic.Pointer[error]
	calls atomic.Int64
	busy  atomic.Int64
	most  atomic.Int64 // retrievals at once
}

func (c *clockwork) String() string { return "clockwork" }

func (c *clockwork) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	n := c.calls.Add(1)
	c.most.Store(max(c.most.Load(), c.busy.Add(1)))
	defer c.busy.Add(-1)
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return ossclient.Credential{}, &failure{why: "clockwork", err: context.Cause(ctx)}
	}
	if err := c.fail.Load(); err != nil {
		return ossclient.Credential{}, *err
	}
	cred := ossclient.Credential{ID: fmt.Sprint("key", n), Secret: testSecret, Token: testToken}
	if c.life > 0 {
		cred.Expires = time.Now().Add(c.life)
	}
	return cred, nil
}

func (c *clockwork) breaks(err error) { c.fail.Store(&err) }
func (c *clockwork) works()           { c.fail.Store(nil) }

func clocked(t *testing.T, c *clockwork) (*Provider, *world) {
	w := newWorld(t)
	p := New(c, w.opt)
	t.Cleanup(p.Close)
	return p, w
}

func id(t *testing.T, p *Provider) string {
	t.Helper()
	c, err := p.Retrieve(context.Background())
	if err != nil {
		t.Fatalf("Retrieve: %v", err)
	}
	return c.ID
}

var errNetwork = &failure{why: "network is unreachable", temporary: true}

func TestRenewalHappensBesideRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: time.Hour, takes: 2 * time.Second}
		p, _ := clocked(t, source)
		defer p.Close()
		var wg sync.WaitGroup
		for range 800 { // the first callers wait for one retrieval
			wg.Go(func() {
				if got := id(t, p); got != "key1" {
					t.Errorf("got %s, want key1", got)
				}
			})
		}
		wg.Wait()
		time.Sleep(44 * time.Minute)
		if id(t, p); source.calls.Load() != 1 {
			t.Errorf("%d calls before three quarters of the life, want 1", source.calls.Load())
		}
		time.Sleep(2 * time.Minute)
		for range 100 {
			start := time.Now()
			if got := id(t, p); got != "key1" || time.Since(start) != 0 {
				t.Fatalf("got %s after %v, want key1 at once", got, time.Since(start))
			}
		}
		time.Sleep(3 * time.Second)
		if got := id(t, p); got != "key2" {
			t.Errorf("got %s, want the renewed key2", got)
		}
		if calls, most := source.calls.Load(), source.most.Load(); calls != 2 || most != 1 {
			t.Errorf("%d calls, %d at once; want 2, 1", calls, most)
		}
		time.Sleep(100 * time.Hour) // nobody asks: nothing happens
		if calls := source.calls.Load(); calls != 2 {
			t.Errorf("%d calls while idle, want none", calls-2)
		}
		if got := id(t, p); got != "key3" {
			t.Errorf("got %s after they expired, want key3", got)
		}
	})
}

// Short-lived credentials are not fetched again at every call.
func TestShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: 170 * time.Second}
		p, _ := clocked(t, source)
		defer p.Close()
		for range 1700 {
			id(t, p)
			time.Sleep(100 * time.Millisecond)
		}
		if calls := source.calls.Load(); calls != 2 {
			t.Errorf("%d calls in 170 s, want 2", calls)
		}
	})
}

func TestFailingRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: time.Hour}
		p, w := clocked(t, source)
		defer p.Close()
		id(t, p)
		source.breaks(errNetwork)
		time.Sleep(45 * time.Minute)
		before := source.calls.Load()
		for range 14 * 60 { // the old ones last: no request notices
			if got := id(t, p); got != "key1" {
				t.Fatalf("got %s, want key1", got)
			}
			time.Sleep(time.Second)
		}
		renewals := (source.calls.Load() - before) / renewTries
		if renewals < 14 || renewals > 35 {
			t.Errorf("%d renewals in 14 minutes, want one a minute after a quick start", renewals)
		}
		s := p.Status()
		if s.Failures < 14 || !strings.Contains(s.LastError, "unreachable") || s.KeyID == "" {
			t.Errorf("status %+v, want the failures and why", s)
		}
		if log := w.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "unreachable") {
			t.Errorf("the log says nothing: %s", log)
		}
		source.works()
		time.Sleep(2 * time.Minute) // they have expired meanwhile
		if got := id(t, p); got == "key1" {
			t.Errorf("got %s, want a renewed one", got)
		}
		if s := p.Status(); s.Failures != 0 || s.LastError != "" {
			t.Errorf("status %+v, want no failure", s)
		}
		if !strings.Contains(w.log.String(), "renewed again") {
			t.Errorf("the log does not say that it is over: %s", w.log)
		}
	})
}

func TestExpiredCredentialsMakeRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: time.Hour}
		p, _ := clocked(t, source)
		defer p.Close()
		id(t, p)
		time.Sleep(2 * time.Hour)
		source.breaks(errNetwork)
		time.AfterFunc(12*time.Second, source.works)
		start := time.Now()
		id(t, p)
		if d := time.Since(start); d < 12*time.Second || d > 20*time.Second {
			t.Errorf("waited %v, want soon after the source works again at 12 s", d)
		}

		time.Sleep(2 * time.Hour)
		source.breaks(errNetwork)
		start = time.Now()
		_, err := p.Retrieve(context.Background())
		if !errors.Is(err, ossclient.ErrCredentials) || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("got %v, want ErrCredentials and why", err)
		}
		if d := time.Since(start); d < 20*time.Second || d > Patience+time.Second {
			t.Errorf("gave up after %v, want about %v", d, Patience)
		}

		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start = time.Now()
		_, err = p.Retrieve(ctx)
		if !errors.Is(err, ossclient.ErrCanceled) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 3*time.Second {
			t.Errorf("got %v after %v, want ErrCanceled after 3 s", err, time.Since(start))
		}
	})
}

// The first search fails at once, and its result is not asked for anew by everyone who waits.
func TestFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{takes: time.Second}
		source.breaks(&failure{why: "denied"})
		p, _ := clocked(t, source)
		defer p.Close()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				start := time.Now()
				if _, err := p.Retrieve(context.Background()); !errors.Is(err, ossclient.ErrCredentials) || time.Since(start) > time.Second {
					t.Errorf("got %v after %v, want ErrCredentials after 1 s", err, time.Since(start))
				}
			})
		}
		wg.Wait()
		if calls := source.calls.Load(); calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
		source.works()
		time.Sleep(2 * time.Second)
		if got := id(t, p); got != "key2" {
			t.Errorf("got %s, want key2: a search that failed is repeated", got)
		}
	})
}

func TestCancelledRequestDoesNotEndTheRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: time.Hour, takes: 5 * time.Second}
		p, _ := clocked(t, source)
		defer p.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := p.Retrieve(ctx); !errors.Is(err, ossclient.ErrCanceled) {
			t.Errorf("got %v, want ErrCanceled", err)
		}
		start := time.Now()
		if got := id(t, p); got != "key1" || time.Since(start) != 4*time.Second {
			t.Errorf("got %s after %v, want key1 after the 4 s that were left", got, time.Since(start))
		}
	})
}

func TestCredentialsWithoutExpiryAreLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{}
		p, _ := clocked(t, source)
		defer p.Close()
		id(t, p)
		time.Sleep(recheck)
		id(t, p)
		synctest.Wait()
		if got := id(t, p); got != "key2" {
			t.Errorf("got %s, want key2", got)
		}
		source.breaks(unusable("the file is gone"))
		time.Sleep(24 * time.Hour)
		for range 5 {
			if got := id(t, p); got != "key2" {
				t.Errorf("got %s, want the key that is known", got)
			}
			synctest.Wait()
		}
		if s := p.Status(); s.Failures == 0 || !strings.Contains(s.LastError, "gone") {
			t.Errorf("status %+v, want that the file is gone", s)
		}
	})
}

func TestRejectedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{life: time.Hour, takes: time.Second}
		p, _ := clocked(t, source)
		defer p.Close()
		old, _ := p.Retrieve(context.Background())
		if p.Rejected(old) {
			t.Error("a key that has just been looked up is looked up again")
		}
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for range 100 { // a hundred requests were refused at once
			wg.Go(func() {
				if !p.Rejected(old) {
					t.Error("got false, want that the request is repeated")
				}
				if got := id(t, p); got != "key2" {
					t.Errorf("got %s, want key2", got)
				}
			})
		}
		wg.Wait()
		fresh, _ := p.Retrieve(context.Background())
		if p.Rejected(fresh) || !p.Rejected(old) {
			t.Error("want that the new key is not looked up again, and the old one replaced by it")
		}
		if calls := source.calls.Load(); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}

		time.Sleep(time.Minute) // there is no other key: the one we have is what we have
		source.breaks(&failure{why: "denied"})
		if !p.Rejected(fresh) {
			t.Error("got false, want a lookup")
		}
		if got := id(t, p); got != "key2" {
			t.Errorf("got %s, want key2", got)
		}
		if p.Rejected(fresh) {
			t.Error("got true, want no lookup right after one that failed")
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &clockwork{takes: time.Hour}
		p, _ := clocked(t, source)
		go func() {
			time.Sleep(time.Second)
			p.Close()
		}()
		start := time.Now()
		if _, err := p.Retrieve(context.Background()); !errors.Is(err, ossclient.ErrCredentials) || time.Since(start) > time.Second {
			t.Errorf("got %v after %v, want an error when the provider closes", err, time.Since(start))
		}
	})
}
