package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/control"
	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
	"github.com/ossfs/ossfs/writeback"
)

// report is what "ossfs status" shows of a mount, in a form that keeps: --json prints it as it is.
type report struct {
	Source     string    `json:"source"`
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	StateDir   string    `json:"stateDir"`
	Endpoint   string    `json:"endpoint"`
	Region     string    `json:"region,omitempty"`
	ReadOnly   bool      `json:"readOnly"`
	Started    time.Time `json:"started"`

	Queue    queueReport      `json:"queue"`
	Requests requestReport    `json:"requests"`
	Reads    readReport       `json:"reads"`
	Memory   map[string]int64 `json:"memoryBytes"`   // in use, by use; together never more than the budget
	Budget   int64            `json:"memoryBudget"`  // bytes
	Resident int64            `json:"residentBytes"` // of the whole process
	Inodes   int              `json:"inodes"`        // that the kernel knows

	Key *credentials.Status `json:"key,omitempty"` // nil: anonymous, or a demo's
}

// queueReport is what the bucket does not have yet.
type queueReport struct {
	Waiting     int             `json:"waiting"` // entries: files, directories, deletions, ...
	Sending     int             `json:"sending"`
	Failed      int             `json:"failed"`
	Bytes       int64           `json:"bytes"`
	Passing     int64           `json:"passingBytes"` // of them, what is on its way and not confirmed
	Oldest      float64         `json:"oldestSeconds"`
	SentObjects int64           `json:"sentObjects"` // since the mount
	SentBytes   int64           `json:"sentBytes"`
	StageUsed   int64           `json:"stageUsedBytes"`
	StageBudget int64           `json:"stageBudgetBytes"`
	Conflicts   int64           `json:"conflicts"`
	Moves       int             `json:"moves"` // renames that are not finished
	Failures    []failureReport `json:"failures,omitempty"`
}

type failureReport struct {
	Key       string    `json:"key"`
	What      string    `json:"what"` // content, attributes, absent
	Error     string    `json:"error"`
	Permanent bool      `json:"permanent"`
	Attempts  int       `json:"attempts"`
	Since     time.Time `json:"since"`
}

// requestReport counts requests since the mount.
type requestReport struct {
	Requests  int64   `json:"requests"`
	Retries   int64   `json:"retries"`
	Throttled int64   `json:"throttled"`
	Failures  int64   `json:"failures"`
	InFlight  int     `json:"inFlight"`
	Limit     int     `json:"limit"`
	Sent      int64   `json:"sentBytes"`
	Received  int64   `json:"receivedBytes"`
	Out       float64 `json:"sentBytesPerSecond"` // over the last ten seconds
	In        float64 `json:"receivedBytesPerSecond"`
	ClockSkew float64 `json:"clockSkewSeconds"`
}

// readReport is what was fetched since the mount, and what memory was good for.
type readReport struct {
	Fetched    int64 `json:"fetchedBytes"`
	Unread     int64 `json:"unreadBytes"`  // of it, dropped before anything of it was read
	Ahead      int64 `json:"blocksAhead"`  // wanted by reads: found fetched ahead, or on their way
	Stored     int64 `json:"blocksStored"` // found in memory from an earlier read
	Missed     int64 `json:"blocksMissed"` // asked of the bucket
	Attributes hits  `json:"attributes"`   // of the index on disk
	Listings   hits  `json:"listings"`     // in memory
}

type hits struct {
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
}

func (x *session) report() report {
	st := x.mount.Status()
	requests := reportRequests(st.Bucket)
	requests.Out, requests.In = x.traffic.rates()
	return report{
		Source: x.source.String(), Mountpoint: x.place.path, PID: os.Getpid(), Version: version, StateDir: x.dir,
		Endpoint: x.bucket.Endpoint(), Region: x.bucket.Region(), ReadOnly: x.settings.readOnly, Started: x.started,
		Queue: reportQueue(st.Writeback), Requests: requests, Reads: reportReads(st),
		Memory: st.Memory, Budget: st.MemoryAll, Resident: residentMemory(), Inodes: st.Inodes, Key: keyStatus(x.key),
	}
}

func reportQueue(w writeback.Status) queueReport {
	q := queueReport{
		Waiting: w.Waiting, Sending: w.Sending, Failed: w.Failed, Bytes: w.Bytes, Passing: w.Passing, Oldest: w.Oldest.Seconds(),
		SentObjects: w.SentObjects, SentBytes: w.SentBytes, StageUsed: w.StageUsed, StageBudget: w.StageBudget,
		Conflicts: w.Conflicts, Moves: w.Moves,
	}
	for _, f := range w.Failures {
		text := ""
		if f.Err != nil {
			text = oneLine(f.Err.Error())
		}
		q.Failures = append(q.Failures, failureReport{
			Key: string(f.Key), What: f.Kind.String(), Error: text, Permanent: f.Permanent, Attempts: f.Attempts, Since: f.Since,
		})
	}
	return q
}

func reportRequests(s ossclient.Stats) requestReport {
	return requestReport{
		Requests: s.Requests, Retries: s.Retries, Throttled: s.Throttled, Failures: s.Failures, InFlight: s.InFlight, Limit: s.Limit,
		Sent: s.Sent, Received: s.Received, ClockSkew: s.ClockSkew.Seconds(),
	}
}

func reportReads(s fs.Status) readReport {
	r := s.Reads
	return readReport{
		Fetched: r.Fetched, Unread: r.Unread, Ahead: r.Ahead, Stored: r.Stored, Missed: r.Missed,
		Attributes: hits(s.Records), Listings: hits{s.Listings.Hits, s.Listings.Misses},
	}
}

// write shows a mount to people. now is when it was asked.
func (r report) write(w io.Writer, now time.Time) {
	mode := ""
	if r.ReadOnly {
		mode = ", read-only"
	}
	printable := func(s string) string { return strings.Map(visible, s) }
	fmt.Fprintf(w, "%s on %s (pid %d, %s%s)\n", printable(r.Source), printable(r.Mountpoint), r.PID, age(now.Sub(r.Started)), mode)
	q := r.Queue
	fmt.Fprintf(w, "  unsent    %s\n", q.summary(r.Requests.Out))
	fmt.Fprintf(w, "  sent      %d objects, %s\n", q.SentObjects, formatSize(q.SentBytes))
	fmt.Fprintf(w, "  staged    %s of %s in %s\n", formatSize(q.StageUsed), formatSize(q.StageBudget), printable(r.StateDir))
	rq := r.Requests
	fmt.Fprintf(w, "  network   %s out, now %s/s; %s in, now %s/s\n",
		formatSize(rq.Sent), formatSize(int64(rq.Out)), formatSize(rq.Received), formatSize(int64(rq.In)))
	fmt.Fprintf(w, "  requests  %d, %d in flight (limit %d); %d repeated, %d throttled, %d failed\n",
		rq.Requests, rq.InFlight, rq.Limit, rq.Retries, rq.Throttled, rq.Failures)
	rd := r.Reads
	fmt.Fprintf(w, "  reads     %s fetched, %s of it in vain; blocks: %d read ahead, %d from memory, %d waited for\n",
		formatSize(rd.Fetched), formatSize(rd.Unread), rd.Ahead, rd.Stored, rd.Missed)
	fmt.Fprintf(w, "  memory    %s of %s%s; the process has %s; %d inodes\n",
		formatSize(sum(r.Memory)), formatSize(r.Budget), byUse(r.Memory), formatSize(r.Resident), r.Inodes)
	writeKey(w, r.Key, now)
	if q.Conflicts > 0 {
		fmt.Fprintf(w, "  conflicts %d since the mount: another client changed the same objects\n", q.Conflicts)
	}
	for _, f := range q.Failures {
		what := f.What
		if what == writeback.Absent.String() {
			what = "to be removed"
		}
		fmt.Fprintf(w, "  failed    %s (%s, attempt %d, %s): %s\n", printable(f.Key), printable(what), f.Attempts, age(now.Sub(f.Since)), printable(f.Error))
	}
	if len(q.Failures) >= writeback.FailuresShown {
		fmt.Fprintf(w, "  failed    ... (the first %d are shown)\n", len(q.Failures))
	}
}

// summary is for one line. rate is how many bytes a second go out.
func (q queueReport) summary(rate float64) string {
	if q.Waiting+q.Sending+q.Failed == 0 {
		return "nothing: the bucket has everything"
	}
	text := fmt.Sprintf("%d waiting, %d being sent, %d failed; %s, the oldest %s old",
		q.Waiting, q.Sending, q.Failed, formatSize(q.Bytes), age(time.Duration(q.Oldest*float64(time.Second))))
	if q.Passing > 0 {
		text += fmt.Sprintf(", %s on its way%s", formatSize(q.Passing), toGo(control.Progress{Bytes: q.Bytes - q.Passing}, rate))
	}
	if q.Moves > 0 {
		text += fmt.Sprintf("; %d renames under way", q.Moves)
	}
	return text
}

// age is a duration for people: no more than two units.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

func sum(m map[string]int64) int64 {
	var total int64
	for _, n := range m {
		total += n
	}
	return total
}

func byUse(m map[string]int64) string {
	var parts []string
	for _, use := range slices.Sorted(maps.Keys(m)) {
		if m[use] > 0 {
			parts = append(parts, use+" "+formatSize(m[use]))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// visible keeps a key from moving the cursor: names in a bucket are anybody's.
func visible(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}

// logReport writes a page about the mount to the log.
func (x *session) logReport() {
	var page strings.Builder
	x.report().write(&page, time.Now())
	for line := range strings.Lines(page.String()) {
		x.log.Info("report", "line", strings.TrimSpace(line))
	}
}
