package fs

import (
	"context"
	"errors"
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
		open, _ := g.shut(t.Context(), "a")
		defer open()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
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
