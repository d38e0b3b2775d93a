package writeback

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	smallAtOnce  = 64 // objects sent by one request each
	largeAtOnce  = 8  // files sent in parts; their parts share partsAtOnce
	partsAtOnce  = 16
	deleteAtOnce = 8                      // DeleteMultipleObjects
	deleteMost   = 1000                   // keys in one of them
	deleteWait   = 500 * time.Millisecond // for company; who waits for a delete does not wait for that
	retryFirst   = time.Second
	retryMost    = time.Minute
)

// loop decides what is sent when. Everything below bell belongs to its goroutine alone: others post
// functions, which it runs in order.
type loop struct {
	s *Store

	mu     sync.Mutex // guards the fields to bell
	inbox  []func()
	wakes  time.Time // when the loop looks into inbox by itself; zero: before it rests
	heeded bool      // somebody in the loop waits for what may be posted
	bell   chan struct{}
	work   chan func() // takes a goroutine that waits for some

	timers   timers
	small    queue
	large    queue
	absent   queue
	since    time.Time // when the first of absent came
	active   map[Key]*sending
	running  [classes]int
	troubles map[Key]*trouble
	waiters  map[*waiter]struct{}
	holds    map[Key]int
	held     map[Key]struct{}
	grants   []*grant
	bytes    int64 // confirmed since the start
	objects  int64
}

type class int

const (
	classSmall class = iota
	classLarge
	classAbsent
	classes
)

// sending is a key of which a state is being sent.
type sending struct {
	seq    uint64
	class  class
	urgent bool // somebody waits for it
	again  bool // asked for meanwhile: to be sent again at once if something is left
	soon   bool // with again: by somebody who waits for it
}

// trouble is a state that could not be sent.
type trouble struct {
	seq       uint64
	err       error
	permanent bool
	attempts  int
	since     time.Time
}

func newLoop(s *Store) *loop {
	return &loop{s: s, bell: make(chan struct{}, 1), work: make(chan func()), active: make(map[Key]*sending), troubles: make(map[Key]*trouble),
		waiters: make(map[*waiter]struct{}), holds: make(map[Key]int), held: make(map[Key]struct{})}
}

// post has the loop run a function, soon.
func (l *loop) post(f func()) { l.postBy(time.Time{}, f) }

// never is when a function is to be run that matters only to others that are.
var never = time.Now().Add(math.MaxInt64)

// inboxMost is how many functions may wait for a loop that rests.
const inboxMost = 1 << 12

// postBy has the loop run a function before at, and before any that is posted later. The loop is woken only when it has to be: each
// change of each file tells it something, and nearly always that nothing is to be done yet.
func (l *loop) postBy(at time.Time, f func()) {
	l.mu.Lock()
	l.inbox = append(l.inbox, f)
	ring := at.IsZero() || at.Before(l.wakes) || l.heeded || len(l.inbox) >= inboxMost
	l.mu.Unlock()
	if ring {
		l.ring()
	}
}

func (l *loop) ring() {
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// rests says that the loop sleeps until then. False: something was posted meanwhile.
func (l *loop) rests(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inbox) > 0 {
		return false
	}
	l.wakes, l.heeded = until, len(l.waiters) > 0 || len(l.held) > 0
	return true
}

// ask runs a function in the loop and waits for it.
func (l *loop) ask(f func()) error {
	done := make(chan struct{})
	l.post(func() {
		f()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-l.s.ctx.Done():
		return ErrClosed
	}
}

// changed has a state sent after a delay, unless it has changed again by then.
func (l *loop) changed(e *entry, delay time.Duration) {
	key, seq, dirty := e.key, e.seq, e.has(flagDirty)
	at := time.Now().Add(delay)
	l.postBy(at, func() {
		if !dirty {
			heap.Push(&l.timers, timer{at: at, key: key, seq: seq})
		}
		l.look(key)
	})
}

// gone tells that a key has no state any more, without a request.
func (l *loop) gone(key Key) { l.postBy(never, func() { l.look(key) }) }

func (l *loop) run(ctx context.Context) {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		for l.drain() {
		}
		now := time.Now()
		wait := l.dispatch(ctx, now)
		if !l.rests(now.Add(wait)) {
			continue
		}
		clock.Reset(wait)
		select {
		case <-l.bell:
		case <-clock.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *loop) drain() bool {
	l.mu.Lock()
	inbox := l.inbox
	l.inbox, l.wakes, l.heeded = nil, time.Time{}, false
	l.mu.Unlock()
	for _, f := range inbox {
		f()
	}
	return len(inbox) > 0
}

// dispatch starts what may start, and says when it wants to be called again.
func (l *loop) dispatch(ctx context.Context, now time.Time) time.Duration {
	for len(l.timers) > 0 && !l.timers[0].at.After(now) {
		l.due(heap.Pop(&l.timers).(timer))
	}
	for l.running[classSmall] < smallAtOnce && l.start(ctx, &l.small, classSmall) {
	}
	for l.running[classLarge] < largeAtOnce && l.start(ctx, &l.large, classLarge) {
	}
	wait := time.Hour
	if n := l.absent.len(); n > 0 {
		wait = deleteWait - now.Sub(l.since)
		if n >= deleteMost || wait <= 0 {
			wait = time.Hour // the end of one that is running rings
			for l.running[classAbsent] < deleteAtOnce && l.startDeletes(ctx) {
			}
		}
	}
	if len(l.timers) > 0 {
		wait = min(wait, max(l.timers[0].at.Sub(now), 0))
	}
	return wait
}

// due sends the state that a timer is of. What somebody waits for is tried again as such, also when it was written to since it failed.
func (l *loop) due(t timer) {
	e := l.s.get(t.key)
	if e == nil {
		return
	}
	failed := l.troubles[t.key]
	if e.seq == t.seq || t.urgent && failed != nil && failed.seq == t.seq {
		l.enqueue(e, t.urgent)
	}
}

func (l *loop) classOf(e *entry) class {
	switch {
	case e.kind == Absent:
		return classAbsent
	case e.kind == Content && e.size > l.s.opt.SinglePut:
		return classLarge
	}
	return classSmall
}

// enqueue has a state sent as soon as there is room. Urgent: somebody waits for it.
func (l *loop) enqueue(e *entry, urgent bool) {
	if a := l.active[e.key]; a != nil {
		a.again, a.soon = true, a.soon || urgent
		return
	}
	if l.park(e.key, urgent) {
		return
	}
	if !urgent && e.has(flagDirty) {
		return
	}
	if t := l.troubles[e.key]; t != nil && !urgent && t.permanent && t.seq == e.seq {
		return
	}
	if l.holds[e.key] > 0 && e.inBucket() && !urgent {
		l.held[e.key] = struct{}{}
		return
	}
	switch l.classOf(e) {
	case classSmall:
		l.small.push(e.key, urgent)
	case classLarge:
		l.large.push(e.key, urgent)
	case classAbsent:
		if l.absent.len() == 0 {
			l.since = time.Now()
		}
		l.absent.push(e.key, urgent)
	}
}

// take is the next key of a queue that still has something to send. What is written to since it was queued is sent only when somebody
// waits for it: otherwise its close has it sent.
func (l *loop) take(q *queue, c class) *entry {
	for {
		key, urgent, ok := q.pop()
		if !ok {
			return nil
		}
		e := l.s.get(key)
		if e == nil || l.active[key] != nil || l.park(key, urgent) || e.has(flagDirty) && !urgent {
			continue
		}
		if c == classAbsent && e.kind != Absent && !urgent {
			continue // it was made anew, and has its own time
		}
		if l.classOf(e) != c {
			l.enqueue(e, urgent)
			continue
		}
		l.active[key] = &sending{seq: e.seq, class: c, urgent: urgent}
		return e
	}
}

func (l *loop) start(ctx context.Context, q *queue, c class) bool {
	e := l.take(q, c)
	if e == nil {
		return false
	}
	l.running[c]++
	urgent := l.active[e.key].urgent
	l.have(ctx, func() {
		out := l.s.send(ossclient.WithoutLog(ctx), e.key, urgent)
		l.post(func() {
			l.running[c]--
			l.finished(e.key, out)
		})
	})
	return true
}

// have has a goroutine do something that has done the like before, if one is free: a new one would have to grow its stack first.
func (l *loop) have(ctx context.Context, do func()) {
	select {
	case l.work <- do:
	default:
		l.s.wg.Go(func() {
			for do := do; ; {
				do()
				select {
				case do = <-l.work:
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

func (l *loop) startDeletes(ctx context.Context) bool {
	var keys []Key
	for len(keys) < deleteMost {
		e := l.take(&l.absent, classAbsent)
		if e == nil {
			break
		}
		keys = append(keys, e.key)
	}
	if len(keys) == 0 {
		return false
	}
	l.running[classAbsent]++
	l.s.wg.Go(func() {
		out := l.s.sendAbsent(ossclient.WithoutLog(ctx), keys)
		l.post(func() {
			l.running[classAbsent]--
			for _, key := range keys {
				l.finished(key, out)
			}
		})
	})
	return true
}

// outcome is what came of an attempt to send a state.
type outcome struct {
	seq   uint64 // of the state that was sent
	err   error
	bytes int64
}

// finished notes the outcome for a key and has it sent again when something is left.
func (l *loop) finished(key Key, out outcome) {
	a := l.active[key]
	delete(l.active, key)
	e := l.s.get(key)
	switch {
	case out.err == nil:
		delete(l.troubles, key)
		l.bytes += out.bytes
		l.objects++
		if e != nil && !e.has(flagDirty) || e != nil && a.again {
			l.requeue(e, a)
		}
	case e != nil:
		l.failed(e, a, out)
	}
	l.s.space.poke()
	l.grant()
	l.look(key)
}

// requeue sends what changed while it was being sent.
func (l *loop) requeue(e *entry, a *sending) {
	if a.again {
		l.enqueue(e, a.soon)
		return
	}
	heap.Push(&l.timers, timer{at: time.Now().Add(l.s.opt.rest(e)), key: e.key, seq: e.seq})
}

func (l *loop) failed(e *entry, a *sending, out outcome) {
	if l.s.ctx.Err() != nil {
		return
	}
	if e.seq != out.seq && out.seq != 0 { // it is another state by now: the error may not be its
		l.requeue(e, a)
		return
	}
	if errors.Is(out.err, errAgain) {
		l.enqueue(e, a.urgent || a.soon)
		return
	}
	t := l.troubles[e.key]
	if t == nil {
		t = &trouble{since: time.Now()}
		l.troubles[e.key] = t
	}
	t.seq, t.err, t.permanent = e.seq, out.err, permanent(out.err)
	t.attempts++
	if t.permanent {
		l.tell(slog.LevelError, "not sent; kept, and tried again by `ossfs flush` or the next mount", e.key, out.err)
		if a.soon { // who asked since it began is not answered by it
			l.enqueue(e, true)
		}
		return
	}
	l.tell(slog.LevelWarn, "not sent yet; tried again", e.key, out.err)
	delay := min(retryFirst<<min(t.attempts-1, 10), retryMost)
	delay = delay/2 + rand.N(delay/2+1)
	heap.Push(&l.timers, timer{time.Now().Add(delay), e.key, e.seq, a.urgent || a.soon})
}

// tell logs what came of an attempt, in place of the request that failed.
func (l *loop) tell(level slog.Level, what string, key Key, err error) {
	ctx, entry := context.Background(), slog.String("key", string(key))
	var refused *ossclient.Error
	if errors.As(err, &refused) {
		refused.Log(ctx, l.s.log, level, what, entry)
		return
	}
	l.s.log.LogAttrs(ctx, level, what, entry, slog.Any("error", err))
}

// urge has everything below a prefix, or one key, sent now; or only the deletes, those held apart.
func (l *loop) urge(prefix Key, exact, absentOnly bool) {
	var list []*entry
	l.s.mu.RLock()
	l.s.v.tree.below(prefix, "", func(e *entry) bool {
		if exact && e.key != prefix {
			return false
		}
		if !absentOnly || e.kind == Absent {
			list = append(list, e)
		}
		return true
	})
	l.s.mu.RUnlock()
	for _, e := range list {
		l.enqueue(e, !absentOnly)
	}
	if l.absent.len() > 0 {
		l.since = time.Time{} // no more waiting for company
	}
}

// pressure has everything sent that rests. Files that are still being written follow when nothing else is
// on its way; when nothing at all can be sent, the writers are told that the disk is full.
func (l *loop) pressure() {
	l.s.pressing.Store(false)
	var dirty []*entry
	hope := len(l.active) > 0 || l.s.streaming.Load() > 0
	l.s.mu.RLock()
	entries := l.s.v.tree.Values()
	l.s.mu.RUnlock()
	for _, e := range entries {
		t := l.troubles[e.key]
		_, held := l.held[e.key]
		switch {
		case e.staged() == 0 && !e.has(flagDirty), l.active[e.key] != nil:
		case t != nil && t.seq == e.seq && (t.permanent || noRoom(t.err)):
		case t != nil && t.seq == e.seq && !held:
			hope = true // it has its time
		case e.has(flagDirty):
			dirty = append(dirty, e)
		default:
			hope = true
			l.enqueue(e, true)
		}
	}
	if hope {
		return
	}
	if len(dirty) == 0 {
		l.s.space.fail()
	}
	for _, e := range dirty {
		l.enqueue(e, true)
	}
}

// timer is a state that is due.
type timer struct {
	at     time.Time
	key    Key
	seq    uint64
	urgent bool // of a state that could not be sent: somebody waits for it
}

type timers []timer

var _ heap.Interface = (*timers)(nil)

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	return x
}

// queue is keys in the order they came, urgent ones first.
type queue struct {
	urgent, normal []Key
	queued         map[Key]bool // true: urgent
}

func (q *queue) len() int { return len(q.queued) }

func (q *queue) push(key Key, urgent bool) {
	if q.queued == nil {
		q.queued = make(map[Key]bool)
	}
	was, in := q.queued[key]
	if in && (was || !urgent) {
		return
	}
	q.queued[key] = urgent
	if urgent {
		q.urgent = append(q.urgent, key)
	} else {
		q.normal = append(q.normal, key)
	}
}

func (q *queue) pop() (key Key, urgent, ok bool) {
	for _, list := range []*[]Key{&q.urgent, &q.normal} {
		for len(*list) > 0 {
			key := (*list)[0]
			*list = (*list)[1:]
			if urgent, in := q.queued[key]; in { // else it went out as urgent
				delete(q.queued, key)
				return key, urgent, true
			}
		}
	}
	return "", false, false
}
