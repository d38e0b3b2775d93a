package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

const (
	connectTime = 3 * time.Second
	credTime    = 4 * time.Second
	smallSkew   = time.Minute
	largeSkew   = 15 * time.Minute // beyond it OSS refuses a request: RequestTimeTooSkewed
	soonExpires = 14 * 24 * time.Hour
)

// credentials asks for the key and says where it came from.
func (e *examination) credentials(ctx context.Context) bool {
	start := time.Now()
	c := Check{Name: "credentials", Outcome: OK}
	if e.Config.Credentials == nil {
		c.Found = "none: requests are anonymous, which works for public buckets only"
		e.add(c, start)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, credTime)
	defer cancel()
	cred, err := e.Config.Credentials.Retrieve(ctx)
	if err != nil {
		c.Outcome = Fail
		c.Found, c.Cure = diagnose(err, e.Config, "")
		if errors.Is(err, ossclient.ErrCredentials) {
			c.Cure = "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, write ~/.oss/credentials, or use --profile, --ram-role or --anonymous"
		}
		if e.Explain != nil {
			c.Found = whyNone(e.Explain().Tried, c.Found)
		}
	} else {
		c.Found = "an access key"
		if !cred.Expires.IsZero() {
			c.Found = "a temporary access key"
		}
	}
	if e.Explain != nil {
		x := e.Explain()
		if x.Source != "" {
			c.Found = fmt.Sprintf("%s, key %s", x.Source, x.KeyID)
			if !x.Expires.IsZero() {
				c.Found += ", valid for " + time.Until(x.Expires).Round(time.Minute).String()
			}
		}
		for _, a := range x.Tried {
			if a.Outcome == credentials.Used {
				continue
			}
			line := fmt.Sprintf("%s: %s", a.Source, a.Outcome)
			if a.Why != "" {
				line += ": " + a.Why
			}
			c.Details = append(c.Details, line)
		}
	}
	e.add(c, start)
	return err == nil
}

// whyNone is the reason in short where the details say the rest; text is the reason in full.
func whyNone(tried []credentials.Attempt, text string) string {
	var there []string
	for _, a := range tried {
		switch a.Outcome {
		case credentials.Failed:
			return text
		case credentials.Unusable:
			there = append(there, a.Source+": "+a.Why)
		}
	}
	switch {
	case len(there) > 0:
		return strings.Join(there, "; ")
	case len(tried) > 0:
		return fmt.Sprintf("there are none: of %d sources none is configured", len(tried))
	}
	return text
}

// endpoint says where requests will go. It asks nobody.
func (e *examination) endpoint(ctx context.Context) bool {
	start := time.Now()
	c := Check{Name: "endpoint", Outcome: OK}
	cfg := e.Config
	cfg.Sign = "v1"
	var err error
	if e.probe, err = ossclient.Open(ctx, cfg); err != nil {
		c.Outcome = Fail
		c.Found, c.Cure = diagnose(err, e.Config, e.Config.Endpoint)
		e.add(c, start)
		return false
	}
	c.Found = e.probe.Endpoint()
	u, err := url.Parse(c.Found)
	switch {
	case err != nil:
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.Outcome, c.Cure = Warn, "plain http: everyone on the way reads and can change the data; use https"
	case e.Machine.onECS() && !strings.Contains(u.Hostname(), "-internal") && strings.HasSuffix(u.Hostname(), ".aliyuncs.com") && !e.Config.Accelerate:
		c.Outcome, c.Cure = Warn, "this machine is on ECS: in the bucket's region --internal is faster and its traffic is free"
	}
	e.add(c, start)
	return true
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// way is what one request told of the way to the endpoint.
type way struct {
	host      string
	proxy     *url.URL
	looked    time.Duration // the lookup of the name; 0: there was none
	addresses []string
	dialled   time.Duration
	shook     time.Duration // the TLS handshake
	tls       *tls.ConnectionState
	date      time.Time // of the server
	at        time.Time // of ours
	err       error
}

// connection walks the way to the endpoint once, unsigned: any answer will do.
func (e *examination) connection(ctx context.Context) bool {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	w := e.walk(ctx)
	if w.err != nil {
		found, cure := diagnose(w.err, e.Config, e.probe.Endpoint())
		if w.proxy != nil {
			cure = fmt.Sprintf("the environment names the proxy %s: check it, or set NO_PROXY", w.proxy.Host)
		}
		e.add(Check{Name: "connection", Outcome: Fail, Found: found, Cure: cure}, start)
		return false
	}
	e.add(w.name(), start)
	e.add(w.connect(), start)
	e.add(w.clock(), start)
	return true
}

func (e *examination) walk(ctx context.Context) way {
	u, err := url.Parse(e.probe.Endpoint() + "/")
	if err != nil {
		return way{err: err}
	}
	w := way{host: u.Hostname()}
	pool, err := rootCAs(e.Config.CABundle)
	if err != nil {
		w.err = err
		return w
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	var looking, dialling, shaking time.Time
	trace := &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { looking = time.Now() },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.looked = time.Since(looking)
			for _, a := range i.Addrs {
				w.addresses = append(w.addresses, a.String())
			}
		},
		ConnectStart: func(string, string) {
			if dialling.IsZero() {
				dialling = time.Now()
			}
		},
		ConnectDone: func(_, _ string, err error) {
			if err == nil && w.dialled == 0 {
				w.dialled = time.Since(dialling)
			}
		},
		TLSHandshakeStart: func() { shaking = time.Now() },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { w.shook = time.Since(shaking) },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodHead, u.String(), nil)
	if err != nil {
		w.err = err
		return w
	}
	w.proxy, _ = http.ProxyFromEnvironment(req) // a malformed one fails the request below
	res, err := transport.RoundTrip(req)
	if err != nil {
		w.err = err
		return w
	}
	res.Body.Close()
	w.tls, w.at = res.TLS, time.Now()
	w.date, _ = http.ParseTime(res.Header.Get("Date")) // zero when there is none: the check says so
	return w
}

func rootCAs(bundle string) (*x509.CertPool, error) {
	if bundle == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return nil, fmt.Errorf("CA bundle: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA bundle %s holds no certificate", bundle)
	}
	return pool, nil
}

func (w way) name() Check {
	c := Check{Name: "name", Outcome: OK}
	switch {
	case w.proxy != nil:
		c.Found = "left to the proxy " + w.proxy.Host
	case w.looked == 0:
		c.Found = w.host + " needs no lookup"
	default:
		c.Found = fmt.Sprintf("%s is %s, in %s", w.host, strings.Join(w.addresses[:min(2, len(w.addresses))], ", "), millis(w.looked))
		if w.looked > 500*time.Millisecond {
			c.Outcome, c.Cure = Warn, "name resolution is slow: check the servers in /etc/resolv.conf"
		}
	}
	return c
}

func (w way) connect() Check {
	c := Check{Name: "connection", Outcome: OK, Found: "connected in " + millis(w.dialled)}
	if w.tls == nil {
		c.Found += ", plain http"
		return c
	}
	c.Found += fmt.Sprintf(", %s in %s", tls.VersionName(w.tls.Version), millis(w.shook))
	if len(w.tls.PeerCertificates) > 0 {
		left := time.Until(w.tls.PeerCertificates[0].NotAfter)
		c.Found += fmt.Sprintf(", certificate valid for %d days", int(left.Hours()/24))
		if left < soonExpires {
			c.Outcome, c.Cure = Warn, "the endpoint's certificate is to be renewed by who runs it"
		}
	}
	return c
}

// clock compares ours with the server's, whose header has whole seconds.
func (w way) clock() Check {
	c := Check{Name: "clock", Outcome: OK}
	if w.date.IsZero() {
		c.Outcome, c.Found = Warn, "the server does not say its time"
		return c
	}
	skew := (w.at.Sub(w.date) - time.Second/2).Round(time.Second)
	c.Found = "right within two seconds"
	if skew.Abs() > 2*time.Second {
		where := "ahead of"
		if skew < 0 {
			where = "behind"
		}
		c.Found = fmt.Sprintf("%s %s the server", skew.Abs(), where)
	}
	switch {
	case skew.Abs() > largeSkew:
		c.Outcome = Fail
	case skew.Abs() > smallSkew:
		c.Outcome = Warn
	}
	if c.Outcome != OK {
		c.Cure = "set the clock: timedatectl set-ntp true"
	}
	return c
}
