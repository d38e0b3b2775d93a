package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// kill ends the process, and opens the Store anew on the same disk, of which nothing is more durable for that. What was written and not closed is
// there as it was written, or as it was committed.
func (m *powerModel) kill(ctx context.Context) bool {
	if m.sick == syscall.EIO || m.peace {
		return true
	}
	files := m.files
	m.files, m.holds = nil, nil
	ok := m.step("kill", func(world) {}, func() error {
		m.end()
		if err := m.s.lock.Close(); err != nil {
			return err
		}
		s, err := Open(m.t.Context(), m.opt)
		if err != nil {
			return err
		}
		m.s = s
		for _, o := range files {
			if err := m.left(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	for _, o := range files {
		if !ok && o.dirty { // it was not looked at
			m.unseen[o.key] = true
		}
	}
	return ok
}

// left notes what is left of an open file after a kill.
func (m *powerModel) left(ctx context.Context, o *fileModel) error {
	if o.key == "" || !o.dirty {
		return nil
	}
	got, _, err := m.found(ctx, o.key)
	if err != nil {
		return err
	}
	closed := m.now()[o.key]
	_, passing := m.partial[o.key][sumOfString(got)]
	added := strings.HasPrefix(got, closed) && strings.HasPrefix(o.live, got)
	if !o.torn && !added && !passing { // else the changes may be there in part
		return fmt.Errorf("%s has %d bytes after a kill, it was written to have %d and closed with %d", o.key, len(got), len(o.live), len(closed))
	}
	m.now()[o.key] = got
	return nil
}

// found is what a key has; what is in parts alone is not to be had when the disk has stopped, which ends ctx.
func (m *powerModel) found(ctx context.Context, key Key) (content string, there bool, err error) {
	for {
		st, pending := m.s.Lookup(key)
		if !pending || st.Kind == Attributes {
			content, there = m.r.body(string(key))
			return content, there, nil
		}
		if st.Kind == Absent {
			return "", false, nil
		}
		f, pending := m.s.OpenContent(key)
		if !pending {
			continue // it was confirmed meanwhile
		}
		got := make([]byte, f.Size())
		_, err = f.ReadAt(ctx, got, 0)
		f.Release()
		switch {
		case errors.Is(err, ossclient.ErrPrecondition) && ctx.Err() == nil:
			time.Sleep(time.Millisecond) // the bucket has what was just being sent: that is still to be seen
		case err != nil && !errors.Is(err, io.EOF):
			return "", false, err
		default:
			return string(got), true, nil
		}
	}
}
