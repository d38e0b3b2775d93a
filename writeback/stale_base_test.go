package writeback

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/writeback/disk/disktest"
)

// What is whole in the stage was made of an object that is gone since, as it was moved while it waited. When it grows to the size of
// which changes alone are sent, it is no edit of that object: it is stored as it was closed, whether the process is killed or not.
// SEMANTICS 1.1, 6.2, 6.3
func TestGrownAfterItsBaseWent(t *testing.T) {
	rename := func(t *testing.T, s *Store, from, to Key) error {
		return errors.Join(s.Rename(t.Context(), from, to, RenameSource{}, Seen{}), s.Sync(t.Context(), from))
	}
	for name, c := range map[string]struct {
		to Key
		do func(t *testing.T, r *rig, s *Store) error
	}{
		"rename": {"e/a", func(t *testing.T, _ *rig, s *Store) error { return rename(t, s, "d/a", "e/a") }},
		"rename and back": {"d/a", func(t *testing.T, _ *rig, s *Store) error {
			return errors.Join(rename(t, s, "d/a", "e/a"), rename(t, s, "e/a", "d/a"))
		}},
		"rename of the directory": {"e/a", func(t *testing.T, _ *rig, s *Store) error {
			return errors.Join(s.RenameTree(t.Context(), "d/", "e/", Seen{}), s.Sync(t.Context(), "d/a"))
		}},
		"exchange": {"e/a", func(t *testing.T, r *rig, s *Store) error {
			r.write(s, "e/a", "other")
			side := func(from, to Key) Side { return Side{RenameSource{Version: ossclient.Version{Key: from}}, to} }
			return errors.Join(s.Exchange(t.Context(), side("d/a", "e/a"), side("e/a", "d/a"), "aside", func(error) {}), s.Sync(t.Context(), "d/a"))
		}},
		"rename over an object": {"e/a", func(t *testing.T, r *rig, s *Store) error {
			v := r.put("e/a", "other")
			return errors.Join(s.Rename(t.Context(), "d/a", "e/a", RenameSource{}, Seen{Version: v}), s.Sync(t.Context(), "d/a"))
		}},
		"exchange with an object": {"e/a", func(t *testing.T, r *rig, s *Store) error {
			side := func(from, to Key, v ossclient.Version) Side {
				return Side{RenameSource{Version: v, Attr: fileAttr()}, to}
			}
			a, b := side("d/a", "e/a", r.version("d/a")), side("e/a", "d/a", r.put("e/a", "other"))
			return errors.Join(s.Exchange(t.Context(), a, b, "aside", func(error) {}), s.Sync(t.Context(), "d/a"))
		}},
	} {
		for _, then := range []string{"sent", "written to again", "killed"} {
			t.Run(name+", "+then, func(t *testing.T) {
				r := newRig(t)
				mem := disktest.New()
				r.opt.Disk, r.opt.Delay, r.opt.SinglePut, r.opt.cell = mem, time.Hour, 512<<10, 128<<10
				s := must(Open(t.Context(), r.opt))(t)
				f := must(s.Create("d/a", fileAttr(), ossclient.Version{}))(t)
				write := func(data string, off int) {
					t.Helper()
					if _, err := f.WriteAt(t.Context(), []byte(data), int64(off)); err != nil {
						t.Fatal(err)
					}
					if err := f.Commit(); err != nil {
						t.Fatal(err)
					}
				}
				content, added := noise(450<<10, 1), noise(300<<10, 2)
				write(content, 0)
				r.flush(s)
				write("CHANGED", 70000)
				if err := c.do(t, r, s); err != nil {
					t.Fatal(err)
				}
				write(added, len(content))
				want := splice(content, "CHANGED", 70000) + added
				if then == "written to again" {
					write("again", 1000)
					want = splice(want, "again", 1000)
				}
				if then == "killed" {
					mem.StopAt(0, nil)
					s.cancel()
					s.wg.Wait()
					r.opt.Disk = mem.Killed()
					s = r.open()
				} else {
					defer s.Close(context.Background())
					defer f.Release()
				}
				r.flush(s)
				r.want(string(c.to), want)
			})
		}
	}
}
