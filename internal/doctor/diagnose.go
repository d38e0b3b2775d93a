package doctor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// diagnose is Explain for a check: what is known of the request beside it, and the error itself where
// its cause is not known.
func diagnose(err error, cfg ossclient.Config, endpoint string) (found, cure string) {
	c := Explain(err, cfg, endpoint)
	if c.What == "" {
		return oneLine(err.Error()), ""
	}
	return c.What + Reference(err), c.Cure
}

// Reference is what support asks for of a request that OSS refused, in brackets behind a blank; empty when it gave no answer.
func Reference(err error) string {
	var refused *ossclient.Error
	if !errors.As(err, &refused) || refused.RequestID == "" {
		return ""
	}
	return " [" + strings.TrimSpace(refused.Code+" "+refused.EC) + ", request " + refused.RequestID + "]"
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// millis is a duration for people.
func millis(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}

// size is a number of bytes for people, in binary units.
func size(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 || unit == "TiB" {
			if unit == "B" || v >= 100 || v == float64(int64(v)) {
				return fmt.Sprintf("%.0f %s", v, unit)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1024
	}
	return ""
}
