package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/writeback"
)

func TestStatusSaysWhatFailed(t *testing.T) {
	now := time.Now()
	r := report{Queue: queueReport{Failures: []failureReport{
		{Key: "a\nb", What: writeback.Content.String(), Error: "permission denied", Attempts: 1, Since: now.Add(-time.Minute)},
		{Key: "gone", What: writeback.Absent.String(), Error: "permission denied", Attempts: 2, Since: now.Add(-time.Second)},
	}}}
	shown := func() []string {
		var text strings.Builder
		r.write(&text, now)
		var lines []string
		for line := range strings.Lines(text.String()) {
			if strings.HasPrefix(line, "  failed ") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	const want = "  failed    a?b (content, attempt 1, 1m00s): permission denied\n" +
		"  failed    gone (to be removed, attempt 2, 1s): permission denied\n"
	if got := strings.Join(shown(), ""); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for i := range writeback.FailuresShown - 2 {
		r.Queue.Failures = append(r.Queue.Failures, failureReport{Key: fmt.Sprint(i)})
	}
	if got := shown(); len(got) != writeback.FailuresShown+1 || !strings.Contains(got[len(got)-1], "the first 100 are shown") {
		t.Errorf("%d lines, the last one %q, want one more than there are failures, that says that there may be others", len(got), got[len(got)-1])
	}
}
