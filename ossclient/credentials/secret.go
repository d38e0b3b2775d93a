package credentials

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/ossfs/ossfs/ossclient"
)

const redacted = "***"

// secret is a string that no formatting verb shows: its own methods hide it, and where fmt may not
// call them (in unexported fields) it prints a pointer.
type secret struct{ p *string }

var (
	_ fmt.Formatter  = secret{}
	_ fmt.GoStringer = secret{}
	_ slog.LogValuer = secret{}
)

func hide(s string) secret {
	if s == "" {
		return secret{}
	}
	return secret{&s}
}

func (s secret) reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }

// sealed holds credentials where no verb of fmt looks: it prints functions as addresses, while what a
// pointer points to does show with a verb that does not fit.
type sealed func() ossclient.Credential

func seal(c ossclient.Credential) sealed { return func() ossclient.Credential { return c } }

// Mask shortens an access key ID to what tells it from others: "LTAI****wxyz".
func Mask(id string) string {
	switch {
	case id == "":
		return ""
	case len(id) < 12:
		return id[:1] + "****"
	default:
		return id[:4] + "****" + id[len(id)-4:]
	}
}

// scrub removes the secrets of c from a text that came from elsewhere, in each form they take in a
// request: as they are, escaped once, escaped twice (inside a string to sign).
func scrub(text string, c *ossclient.Credential) string {
	if c == nil {
		return text
	}
	for _, s := range []string{c.Secret, c.Token} {
		if s == "" {
			continue
		}
		once := url.QueryEscape(s)
		for _, form := range []string{url.QueryEscape(once), once, s} {
			text = strings.ReplaceAll(text, form, redacted)
		}
	}
	return text
}

// oneLine makes a stranger's words fit for an error: printable, without line ends, at most limit bytes.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}
