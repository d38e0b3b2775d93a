package credentials

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Outcome is what became of a source in the search.
type Outcome string

// The outcomes.
const (
	Used     Outcome = "used"
	Absent   Outcome = "not configured"
	Unusable Outcome = "cannot be used"
	Failed   Outcome = "failed"
)

// Attempt is one step of the search. It holds no secret.
type Attempt struct {
	Name    string  `json:"name"` // as in [Options.Only]
	Source  string  `json:"source"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`
}

// Explanation says where credentials came from, and why not from elsewhere. It holds no secret.
type Explanation struct {
	Anonymous bool      `json:"anonymous,omitempty"`
	Source    string    `json:"source,omitempty"` // empty: none was found, or nobody has asked yet
	KeyID     string    `json:"keyId,omitempty"`  // in part
	Temporary bool      `json:"temporary,omitempty"`
	Expires   time.Time `json:"expires,omitzero"` // zero: never, or unknown
	Tried     []Attempt `json:"tried,omitempty"`  // in order; ends with the one that is used
}

// Explain says where the credentials came from. It asks nobody: call Retrieve first.
func (p *Provider) Explain() Explanation {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := Explanation{Anonymous: p.anonymous, Tried: append([]Attempt(nil), p.attempts...)}
	if p.used != nil {
		e.Source = p.used.source.String()
		e.KeyID = Mask(p.current().ID)
		e.Temporary = p.current().Token != ""
		e.Expires = p.expires
	}
	return e
}

// String is the explanation on several lines, for people.
func (e Explanation) String() string {
	var b strings.Builder
	switch {
	case e.Anonymous:
		b.WriteString("anonymous: requests are not signed")
	case e.Source == "":
		b.WriteString("no credentials")
	default:
		fmt.Fprintf(&b, "%s, key %s", e.Source, e.KeyID)
		if !e.Expires.IsZero() {
			fmt.Fprintf(&b, ", expires %s", e.Expires.UTC().Format(time.RFC3339))
		}
	}
	for _, a := range e.Tried {
		if a.Outcome != Used {
			fmt.Fprintf(&b, "\n  %s: %s: %s", a.Source, a.Outcome, a.Why)
		}
	}
	return b.String()
}

// Status is how a provider is doing. It holds no secret.
type Status struct {
	Source    string    `json:"source,omitempty"` // empty: none found yet, or anonymous
	KeyID     string    `json:"keyId,omitempty"`  // in part
	Expires   time.Time `json:"expires,omitzero"` // zero: never, or unknown
	Renewed   time.Time `json:"renewed,omitzero"` // the last success
	Next      time.Time `json:"next,omitzero"`    // the earliest next renewal
	Failures  int       `json:"failures"`         // renewals that failed, in a row
	LastError string    `json:"lastError,omitempty"`
}

// Status says how renewal is going.
func (p *Provider) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Renewed: p.renewed, Next: p.renewAt, Failures: p.failures}
	if p.retryAt.After(s.Next) {
		s.Next = p.retryAt
	}
	if p.used != nil {
		s.Source = p.used.source.String()
		s.KeyID = Mask(p.current().ID)
		s.Expires = p.expires
	}
	if p.lastErr != nil {
		s.LastError = p.lastErr.Error()
	}
	return s
}

var (
	_ fmt.Formatter  = (*Provider)(nil)
	_ slog.LogValuer = (*Provider)(nil)
)

// String names the source that is in use.
func (p *Provider) String() string {
	switch s := p.Status(); {
	case p.anonymous:
		return "anonymous"
	case s.Source == "":
		return "no credentials yet"
	default:
		return fmt.Sprintf("%s (key %s)", s.Source, s.KeyID)
	}
}

// Format prints String whatever the verb, so that %+v shows no field.
func (p *Provider) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is String.
func (p *Provider) LogValue() slog.Value { return slog.StringValue(p.String()) }

// notFound is the error of a search that found nothing: why, and what to do, on one line. [Provider.Explain] has the rest.
func notFound(tried []Attempt) error { return absent("%s", searched(tried)) }

// searched names what is configured and cannot be used, since the cure is there; else only how many places have nothing.
func searched(tried []Attempt) string {
	var there []string
	for _, a := range tried {
		if a.Outcome == Unusable {
			there = append(there, fmt.Sprintf("%s: %s", a.Source, a.Why))
		}
	}
	switch {
	case len(there) > 0:
		return strings.Join(there, "; ")
	case len(tried) == 1:
		return fmt.Sprintf("%s: %s", tried[0].Source, tried[0].Why)
	case !slices.ContainsFunc(tried, func(a Attempt) bool { return a.Name == NameEnv }):
		return fmt.Sprintf("none of %d places has what --profile or --credentials asks for", len(tried))
	}
	return fmt.Sprintf("none of %d places has any; set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, write ~/.oss/credentials, "+
		"or mount a public bucket with --anonymous", len(tried))
}
