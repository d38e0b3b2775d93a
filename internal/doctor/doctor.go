package doctor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

// Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	OK   Outcome = "ok"
	Warn Outcome = "warn" // it works, but not as well as it could, or not for everyone
	Fail Outcome = "fail" // a mount does not work
	Skip Outcome = "skip" // not asked, or pointless after a failure
)

// Check is a question and its answer.
type Check struct {
	Name    string        // "credentials", "list", ...
	Outcome Outcome       //
	Found   string        // what was found, in one line
	Cure    string        // what to change; empty when there is nothing to
	Details []string      // more lines, for who wants to know
	Took    time.Duration //
}

// MarshalJSON gives the time in milliseconds.
func (c Check) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name    string   `json:"name"`
		Outcome Outcome  `json:"outcome"`
		Found   string   `json:"found"`
		Cure    string   `json:"cure,omitempty"`
		Details []string `json:"details,omitempty"`
		Took    float64  `json:"tookMs"`
	}{c.Name, c.Outcome, c.Found, c.Cure, c.Details, float64(c.Took.Microseconds()) / 1000})
}

// Report is all checks in the order in which they were made.
type Report struct {
	Bucket string  `json:"bucket"`
	OK     bool    `json:"ok"` // nothing failed
	Checks []Check `json:"checks"`
}

// Count says how many checks ended so.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, c := range r.Checks {
		if c.Outcome == o {
			n++
		}
	}
	return n
}

// Options says what to examine.
type Options struct {
	Config   ossclient.Config // its retry budget is made short
	Prefix   ossclient.Key    // empty, or ends with "/"
	ReadOnly bool             // write nothing

	Explain  func() credentials.Explanation // where Config.Credentials came from; nil: not known
	Progress func(Check)                    // told of each check when it is over; nil: nobody

	Machine Machine       // the zero value: this one
	Limit   time.Duration // for everything; 0: [DefaultLimit]
	Measure time.Duration // for each throughput; 0: [DefaultMeasure]

	within func(context.Context, time.Duration) (context.Context, context.CancelFunc) // nil: a clock's time; a test's own
}

// DefaultLimit is how long everything may take.
const DefaultLimit = 9500 * time.Millisecond

const (
	cleanupTime = 1500 * time.Millisecond // of the limit, kept for the removal of what was written
	retryBudget = 1200 * time.Millisecond // for each request
)

// examination is one run.
type examination struct {
	Options
	report   Report
	start    time.Time
	probe    *ossclient.Bucket // signs with version 1, which needs no region
	bucket   *ossclient.Bucket
	listed   []ossclient.Object // a page of the prefix
	name     ossclient.Key      // below which everything is written
	leftover map[ossclient.Key]bool
	uploads  map[ossclient.UploadID]ossclient.Key
}

// Run makes all checks. It returns within the limit, whatever the network does.
func Run(ctx context.Context, o Options) Report {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Measure <= 0 {
		o.Measure = DefaultMeasure
	}
	o.Config.RetryBudget = retryBudget
	o.Machine = o.Machine.orThis()
	if o.within == nil {
		o.within = context.WithTimeout
	}
	e := &examination{Options: o, start: time.Now(), leftover: map[ossclient.Key]bool{}, uploads: map[ossclient.UploadID]ossclient.Key{}}
	e.report.Bucket = "oss://" + o.Config.Bucket + "/" + string(o.Prefix)
	work, cancel := o.within(ctx, o.Limit-cleanupTime)
	defer cancel()
	e.machine()
	e.remote(work)
	e.cleanup(ctx)
	e.close()
	e.report.OK = e.report.Count(Fail) == 0
	return e.report
}

// remote is everything beyond this machine. Each step needs those before it, but the way to the endpoint,
// which needs no credentials.
func (e *examination) remote(ctx context.Context) {
	key := e.credentials(ctx)
	steps := []struct {
		name string
		do   func(context.Context) bool
		key  bool // needs credentials
	}{
		{"endpoint", e.endpoint, false},
		{"connection", e.connection, false},
		{"bucket", e.open, true},
		{"list", e.list, true},
		{"permissions", e.permissions, true},
		{"speed", e.speed, true},
	}
	reached := true
	for _, step := range steps {
		if reached = reached && (key || !step.key); !reached {
			e.add(Check{Name: step.name, Outcome: Skip, Found: "not reached"}, time.Now())
			continue
		}
		reached = step.do(ctx)
	}
}

// add records a check that began at start.
func (e *examination) add(c Check, start time.Time) {
	c.Took = time.Since(start)
	e.report.Checks = append(e.report.Checks, c)
	if e.Progress != nil {
		e.Progress(c)
	}
}

func (e *examination) close() {
	for _, b := range []*ossclient.Bucket{e.probe, e.bucket} {
		if b != nil {
			b.Close()
		}
	}
}
