package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/ossclient"
)

// refuse has OSS refuse, from now on, all that stores objects under one prefix, or ends that. Where bytes may be in parts alone a refusal stops
// programs, too, and a failed sync leaves it open what was done: there is none then.
func (m *powerModel) refuse(ctx context.Context) bool {
	if m.early || m.sick != nil || m.peace {
		return true
	}
	if m.denied != "" {
		m.allow()
		return m.rng.IntN(2) == 0 || m.flush(ctx)
	}
	m.denied = []Key{"b", "c", "d/b", "e/b", "d/"}[m.rng.IntN(5)]
	m.b.say("%s is refused", m.denied)
	var faults []ossserver.Fault
	for _, op := range []string{"PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"} {
		faults = append(faults, ossserver.Fault{Op: op, KeyPrefix: string(m.denied), Status: http.StatusForbidden, Code: "AccessDenied"})
	}
	m.r.server.SetFaults(append(faults, m.faults...)...)
	return true
}

func (m *powerModel) allow() {
	m.denied = ""
	m.b.say("nothing is refused")
	m.r.server.SetFaults(m.faults...)
}

// allowMoves ends a refusal before another process begins that may have moves to go on with: what comes of those is told elsewhere.
func (m *powerModel) allowMoves() {
	if m.denied != "" && (m.half || len(m.renames) > 0) {
		m.allow()
	}
}

// refuses says whether what a key has cannot be stored now.
func (m *powerModel) refuses(key Key) bool {
	return m.denied != "" && strings.HasPrefix(string(key), string(m.denied))
}

// refusesTrees says whether something below the two directories cannot be stored now.
func (m *powerModel) refusesTrees() bool { return strings.Contains(string(m.denied), "/") }

// declined says whether an error is of the refusal.
func (m *powerModel) declined(err error) bool {
	return m.denied != "" && errors.Is(err, ossclient.ErrPermission)
}

// kept looks at a key of which something could not be sent: it is told of, and its content is as it was closed.
func (m *powerModel) kept(ctx context.Context, key Key) error {
	_, pending := m.s.Lookup(key)
	told := slices.ContainsFunc(m.s.Status().Failures, func(f Failure) bool {
		return f.Key == key && f.Permanent && errors.Is(f.Err, ossclient.ErrPermission)
	})
	if !m.refuses(key) || !pending || !told {
		return fmt.Errorf("%s was not sent; refused: %v, pending: %v, told: %v", key, m.refuses(key), pending, told)
	}
	want, has := m.now()[key]
	got, there, err := m.found(ctx, key)
	if err == nil && (got != want || there != has) {
		err = fmt.Errorf("%s has %d bytes (%v) since it was refused, and was closed with %d (%v)", key, len(got), there, len(want), has)
	}
	return err
}

// keptAll looks at what a flush has left.
func (m *powerModel) keptAll(ctx context.Context) error {
	var errs []error
	for _, key := range modelKeys {
		if _, pending := m.s.Lookup(key); pending {
			errs = append(errs, m.kept(ctx, key))
		}
	}
	return errors.Join(errs...)
}

// mark notes what is, for a move that may be refused. What undo is given is all that has happened then; but a loss of power may take the end of the move
// from the journal, and the next process does it.
func (m *powerModel) mark() (undo func(change func(w world))) {
	origins, shaken, renames := maps.Clone(m.origins), maps.Clone(m.shaken), slices.Clone(m.renames)
	files := make(map[*fileModel]fileModel)
	for _, o := range m.files {
		files[o] = *o
	}
	before := m.now()
	return func(change func(w world)) {
		m.b.say("it is refused")
		m.origins, m.shaken, m.renames, m.half = origins, shaken, renames, true
		for o, was := range files {
			*o = was
		}
		next := maps.Clone(before)
		change(next)
		m.worlds = append(m.worlds, next)
	}
}
