package writeback

import (
	"cmp"
	"slices"
	"time"
)

// Status is what a Store has to do, and how it goes.
type Status struct {
	Waiting, Sending, Failed int           // entries
	Bytes                    int64         // of content that the bucket has not taken yet; parts of a file that were sent are left out
	Passing                  int64         // of Bytes, how much requests that have not ended have taken
	SentObjects, SentBytes   int64         // since the Store was opened
	Oldest                   time.Duration // since the oldest change that the bucket does not have
	StageUsed, StageBudget   int64         // bytes
	Conflicts                int64         // since the Store was opened
	Moves                    int           // renames that are not finished
	Failures                 []Failure     // the first FailuresShown
}

// Failure is an entry that could not be sent.
type Failure struct {
	Key       Key
	Kind      Kind
	Err       error // usually an *ossclient.Error
	Permanent bool  // trying again by itself does not help
	Attempts  int
	Since     time.Time
}

// FailuresShown is how many failures a Status has at most.
const FailuresShown = 100

// Status looks at everything that is pending.
func (s *Store) Status() Status {
	st := Status{StageUsed: s.space.usage(), StageBudget: s.opt.StageBudget, Conflicts: s.conflicts.Load()}
	now := time.Now()
	s.mu.RLock()
	st.Moves = len(s.v.moves)
	total := 0
	s.v.tree.Scan(func(_ Key, e *entry) bool {
		total++
		left := s.unsentLocked(e)
		st.Bytes += left
		st.Passing += min(s.passing.bytes(e.stage), left)
		st.Oldest = max(st.Oldest, e.age(now))
		return true
	})
	s.mu.RUnlock()
	err := s.loop.ask(func() {
		l := s.loop
		st.Sending = len(l.active)
		st.SentObjects, st.SentBytes = l.objects, l.bytes
		for key, t := range l.troubles {
			e := s.get(key)
			if e == nil {
				continue
			}
			if t.permanent && t.seq == e.seq {
				st.Failed++
			}
			st.Failures = append(st.Failures, Failure{Key: key, Kind: e.kind, Err: t.err, Permanent: t.permanent && t.seq == e.seq, Attempts: t.attempts, Since: t.since})
		}
	})
	if err != nil {
		return st
	}
	slices.SortFunc(st.Failures, func(a, b Failure) int { return cmp.Compare(a.Key, b.Key) })
	st.Failures = st.Failures[:min(len(st.Failures), FailuresShown)]
	st.Waiting = max(total-st.Sending-st.Failed, 0)
	return st
}
