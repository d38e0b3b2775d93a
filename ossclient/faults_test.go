package ossclient_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// mishap is a column of the fault matrix.
type mishap struct {
	name  string
	fault ossserver.Fault
	want  error // when it stays
	final bool  // repeating is useless: it is an error at once
}

// mishaps are all kinds of faults that the server knows, and what else OSS may answer.
func mishaps() []mishap {
	var list []mishap
	for _, kind := range ossserver.FaultKinds() {
		m := mishap{name: kind.String(), fault: ossserver.Fault{Kind: kind}, want: ossclient.ErrUnavailable}
		switch kind {
		case ossserver.Error503, ossserver.SlowDown:
			m.want = ossclient.ErrThrottled
		case ossserver.FlipBit:
			m.want = ossclient.ErrCorrupt
		case ossserver.Error500, ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody, ossserver.Stall:
		}
		list = append(list, m)
	}
	coded := func(status int, code string, want error, final bool) {
		list = append(list, mishap{name: code, fault: ossserver.Fault{Kind: ossserver.Error500, Status: status, Code: code}, want: want, final: final})
	}
	coded(http.StatusBadRequest, "RequestTimeout", ossclient.ErrUnavailable, false)
	coded(http.StatusBadGateway, "SomethingNew", ossclient.ErrUnavailable, false)
	coded(http.StatusTooManyRequests, "TooManyRequests", ossclient.ErrThrottled, false)
	coded(http.StatusForbidden, "RequestTimeTooSkewed", ossclient.ErrPermission, false)
	coded(http.StatusForbidden, "AccessDenied", ossclient.ErrPermission, true)
	coded(http.StatusForbidden, "QuotaExceeded", ossclient.ErrQuota, true)
	coded(http.StatusBadRequest, "InvalidArgument", ossclient.ErrInvalid, true)
	coded(http.StatusNotImplemented, "NotImplemented", ossclient.ErrUnsupported, true)
	return list
}

func newStage(t *testing.T, row faultedCall, budget time.Duration) *stage {
	server := ossservertest.NewTest(t, ossserver.Options{MinPartSize: 1})
	s := &stage{T: t, server: server, clean: open(t, server, nil), stall: 20 * time.Second}
	s.client = open(t, server, func(c *ossclient.Config) {
		c.RetryBudget = budget
		s.config = *c
	})
	if row.prepare != nil {
		row.prepare(s)
	}
	return s
}

func (s *stage) meets(row faultedCall, m mishap, count int) {
	if m.fault.Kind == ossserver.Stall {
		s.stall = 100 * time.Millisecond
		ossclient.SetPatience(s.client, s.stall, 2*s.stall)
	}
	m.fault.Op, m.fault.Count = row.op, count
	s.server.SetFaults(m.fault)
}

// Every operation of the client has its row.
func TestTheFaultMatrixIsComplete(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range matrix() {
		rows[row.op] = true
	}
	for _, op := range ossclient.Operations() {
		if !rows[op] {
			t.Errorf("the operation %s has no row in the fault matrix", op)
		}
		delete(rows, op)
	}
	for op := range rows {
		t.Errorf("the matrix has a row for %s, which is no operation", op)
	}
}

// cells runs a test for each row and column that make sense together.
func cells(t *testing.T, skip func(faultedCall, mishap) bool, test func(*testing.T, faultedCall, mishap)) {
	for _, row := range matrix() {
		for _, m := range mishaps() {
			if skip(row, m) {
				continue
			}
			t.Run(row.op+row.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				test(t, row, m)
			})
		}
	}
}

// A fault that passes costs time: the call succeeds, and its effect is there once.
func TestPassingFaults(t *testing.T) {
	skip := func(row faultedCall, m mishap) bool {
		return m.final || m.fault.Kind == ossserver.FlipBit && (!row.flips || row.spoilt)
	}
	cells(t, skip, func(t *testing.T, row faultedCall, m mishap) {
		s := newStage(t, row, 10*time.Second)
		s.meets(row, m, 1)
		if err := row.call(s); err != nil {
			t.Errorf("got %v, want success", err)
		}
		s.server.SetFaults()
		st := s.client.Stats()
		met := st.Retries + st.Resumes + s.located.Retries
		switch m.fault.Kind {
		case ossserver.ResetAfter, ossserver.CutBody, ossserver.FlipBit, ossserver.Stall: // the effect may be found, or there is no body
		default:
			if met == 0 {
				t.Errorf("no fault was met: %+v", st)
			}
		}
		if row.check != nil {
			if err := row.check(s); err != nil {
				t.Error(err)
			}
		}
	})
}

// A fault that stays is an error of the right kind, soon, and leaves nothing half done.
func TestLastingFaults(t *testing.T) {
	skip := func(row faultedCall, m mishap) bool { return m.fault.Kind == ossserver.FlipBit && !row.flips }
	cells(t, skip, func(t *testing.T, row faultedCall, m mishap) {
		s := newStage(t, row, 120*time.Millisecond)
		s.meets(row, m, 0)
		start := time.Now()
		err := row.call(s)
		if took := time.Since(start); took > 30*time.Second { // a busy machine is slow
			t.Errorf("it took %v, with a budget of 0.12 s", took)
		}
		s.server.SetFaults()
		want := []error{m.want}
		if m.fault.Kind == ossserver.FlipBit { // a spoilt document is refused
			want = append(want, ossclient.ErrInvalid)
		}
		switch {
		case err == nil:
			lastingSuccess(t, s, row, m)
			return
		case !slices.ContainsFunc(want, func(k error) bool { return errors.Is(err, k) }):
			t.Errorf("got %v, want %v", err, want)
		case m.final && s.client.Stats().Retries > 0:
			t.Errorf("what no repetition cures was repeated %d times", s.client.Stats().Retries)
		}
		if row.absent != nil && m.fault.Kind != ossserver.FlipBit {
			if err := either(s, row.absent, row.check); err != nil {
				t.Error(err)
			}
		}
	})
}

// lastingSuccess is right where the effect came through all the same: the client found it, or the fault
// is one of bodies and there was none to spoil.
func lastingSuccess(t *testing.T, s *stage, row faultedCall, m mishap) {
	switch m.fault.Kind {
	case ossserver.ResetAfter, ossserver.CutBody, ossserver.Stall:
	default:
		t.Errorf("it succeeded, want %v", m.want)
	}
	if row.check != nil {
		if err := row.check(s); err != nil {
			t.Error(err)
		}
	}
}

// A cancelled context ends each operation at once, wherever it is: before the answer, in the middle of a
// body, between two attempts.
func TestCancellingEndsEveryOperationAtOnce(t *testing.T) {
	why := errors.New("the user pressed ^C")
	faults := []ossserver.Fault{{Kind: ossserver.Stall}, {Kind: ossserver.Error503, RetryAfter: 60}}
	for _, row := range matrix() {
		for _, fault := range faults {
			t.Run(row.op+row.name+"/"+fault.Kind.String(), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, row, 2*time.Minute)
				s.meets(row, mishap{fault: fault}, 0)
				ossclient.SetPatience(s.client, time.Minute, time.Minute)
				s.stall = time.Minute
				ctx, cancel := context.WithCancelCause(t.Context())
				s.ctx = ctx
				time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
				start := time.Now()
				err := row.call(s)
				if took := time.Since(start); took > 20*time.Second { // a busy machine is slow
					t.Errorf("it took %v", took)
				}
				if err == nil && fault.Kind == ossserver.Stall && row.check == nil {
					return // an answer without a body to stall in
				}
				if !errors.Is(err, ossclient.ErrCanceled) || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
					t.Errorf("got %v, want ErrCanceled with the cause", err)
				}
			})
		}
	}
}

// The server's Retry-After is waited for, and not longer than it says.
func TestRetryAfterIsRespected(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	b := open(t, s, nil)
	s.SetFaults(ossserver.Fault{Op: "HeadObject", Kind: ossserver.Error503, RetryAfter: 1, Count: 1})
	start := time.Now()
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, ossclient.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist after the repetition", err)
	}
	if took := time.Since(start); took < time.Second || took > 20*time.Second { // a busy machine is slow
		t.Errorf("it took %v, want the second that the server asked for", took)
	}
	b = open(t, s, func(c *ossclient.Config) { c.RetryBudget = 5 * time.Second })
	s.SetFaults(ossserver.Fault{Op: "HeadObject", Kind: ossserver.Error503, RetryAfter: 60})
	start = time.Now()
	if _, err := b.Head(t.Context(), "k"); !errors.Is(err, ossclient.ErrThrottled) || time.Since(start) > 20*time.Second {
		t.Errorf("got %v after %v, want ErrThrottled at once: the wait is longer than the budget", err, time.Since(start))
	}
}
