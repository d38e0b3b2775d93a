package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

// keyStatus is how the renewal of a mount's credentials is going; nil for anonymous access and for a
// demo's own key.
func keyStatus(c ossclient.Credentials) *credentials.Status {
	p, ok := c.(*credentials.Provider)
	if !ok {
		return nil
	}
	s := p.Status()
	return &s
}

// writeKey shows where the access key came from and how long it lasts. What failed is said until it
// succeeds.
func writeKey(w io.Writer, s *credentials.Status, now time.Time) {
	if s == nil || s.Source == "" {
		return
	}
	text := fmt.Sprintf("%s from %s", s.KeyID, s.Source)
	if !s.Expires.IsZero() {
		text += ", valid for " + age(s.Expires.Sub(now))
	}
	if s.Failures > 0 {
		text += fmt.Sprintf("; renewal failed %d times: %s", s.Failures, s.LastError)
	}
	fmt.Fprintf(w, "  key       %s\n", strings.Map(visible, text))
}
