package fs

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ossfs/ossfs/ossclient"
)

func TestGate(t *testing.T) {
	tests := []struct {
		name    string
		renamed []ossclient.Key
		change  ossclient.Key
		waits   bool
	}{
		{"the file itself", []ossclient.Key{"a", "b"}, "a", true},
		{"its new name", []ossclient.Key{"a", "b"}, "b", true},
		{"below a directory", []ossclient.Key{"a/", "b/"}, "a/x/y", true},
		{"below its new name", []ossclient.Key{"a/", "b/"}, "b/x", true},
		{"the directory itself", []ossclient.Key{"a/", "b/"}, "a/", true},
		{"a neighbour with the same beginning", []ossclient.Key{"a", "b"}, "ab", false},
		{"a file beside a directory", []ossclient.Key{"a/", "b/"}, "a", false},
		{"elsewhere", []ossclient.Key{"a/", "b/"}, "c/a/x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				open, err := g.shut(t.Context(), tt.renamed...)
				if err != nil {
					t.Fatal(err)
				}
				entered := make(chan struct{})
				go func() {
					leave, err := g.enter(t.Context(), tt.change)
					if err != nil {
						t.Error(err)
						return
					}
					close(entered)
					leave()
				}()
				synctest.Wait()
				select {
				case <-entered:
					if tt.waits {
						t.Error("the change did not wait for the rename")
					}
				default:
					if !tt.waits {
						t.Error("the change waits for a rename that is none of its business")
					}
				}
				open()
				<-entered
			})
		})
	}
}

// A rename waits for the changes inside; they do not wait for each other.
func TestGateRenameWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		leave1, _ := g.enter(t.Context(), "a/x")
		leave2, _ := g.enter(t.Context(), "a/x")
		renamed := make(chan struct{})
		go func() {
			open, err := g.shut(t.Context(), "a/", "b/")
			if err != nil {
				t.Error(err)
				return
			}
			open()
			close(renamed)
		}()
		for _, leave := range []func(){leave1, leave2} {
			synctest.Wait()
			select {
			case <-renamed:
				t.Error("the rename did not wait")
			default:
			}
			leave()
		}
		<-renamed
	})
}

// A signal to the one that waits ends the wait.
func TestGateInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		leave, _ := g.enter(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.shut(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("a rename: got %v, want context.Canceled", err)
		}
		again, err := g.enter(ctx, "a") // nothing is in its way any more
		if err != nil {
			t.Fatal(err)
		}
		again()
		leave()
		open, _ := g.shut(t.Context(), "a")
		defer open()
		if _, err := g.enter(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("a change: got %v, want context.Canceled", err)
		}
	})
}

// A rename comes to its turn though there is always a change inside: those that come after it wait for it, those of other
// keys do not.
func TestGateRenameIsNotPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var order []string
		pass := func(name string, in func(context.Context, ...ossclient.Key) (func(), error), keys ...ossclient.Key) (leave func()) {
			left := make(chan struct{})
			go func() {
				out, err := in(t.Context(), keys...)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				<-left
				out()
			}()
			synctest.Wait()
			return func() {
				close(left)
				synctest.Wait()
			}
		}
		first := pass("before", g.enter, "a/x")
		renamed := pass("rename", g.shut, "a/", "b/")
		second := pass("after", g.enter, "a/y")
		pass("elsewhere", g.enter, "c")()
		another := pass("another rename", g.shut, "a/y", "a/z")
		for _, leave := range []func(){first, renamed, second, another} {
			leave()
		}
		if want := []string{"before", "elsewhere", "rename", "after", "another rename"}; !slices.Equal(order, want) {
			t.Errorf("got %q, want %q", order, want)
		}
		leave, _ := g.enter(t.Context(), "a/x")
		exchanged := pass("exchange", g.swap, "a/", "b/")
		if g.swapping("a/x") { // whoever is inside may ask what is there
			t.Error("what waits to be exchanged is taken for what is being exchanged")
		}
		leave()
		synctest.Wait()
		if !g.swapping("a/x") {
			t.Error("what is being exchanged is not taken for that")
		}
		exchanged()
		if len(g.queue) != 0 {
			t.Errorf("%d are left", len(g.queue))
		}
	})
}

// What is at a key is asked again when an exchange of it was under way meanwhile, and not before that is over.
func TestGateOfAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var open func()
		asked := 0
		err := g.still(t.Context(), []ossclient.Key{"a/x"}, func() (err error) {
			if asked++; asked == 1 {
				open, err = g.swap(t.Context(), "a/", "b/")
				go func() {
					synctest.Wait()
					open()
				}()
			} else if g.swapping("a/x") {
				t.Error("it is asked in the middle")
			}
			return err
		})
		if err != nil || asked != 2 {
			t.Errorf("asked %d times, want 2; %v", asked, err)
		}
		err = g.still(t.Context(), []ossclient.Key{"a/x"}, func() error { // over before it is looked at
			if asked++; asked == 3 {
				open, err := g.swap(t.Context(), "a/", "b/")
				if err != nil {
					return err
				}
				open()
			}
			return nil
		})
		if err != nil || asked != 4 {
			t.Errorf("asked %d times, want 4; %v", asked, err)
		}
		open, err = g.shut(t.Context(), "a/", "c/")
		if err != nil || g.swapping("a/x") {
			t.Errorf("a rename is taken for an exchange; %v", err)
		}
		open()
	})
}
