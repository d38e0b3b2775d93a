package writeback

import (
	"errors"
	"maps"
	"testing"

	"github.com/ossfs/ossfs/ossclient"
)

// Another client puts something where one side of an exchange is to go, when the other side has left: what is aside does not stay there. It has that name,
// or all of the exchange is taken back, and theirs is beside.
// SEMANTICS 5.2, 6.3
func TestExchangeFindsWhatOthersHavePut(t *testing.T) {
	for policy, want := range map[Conflict]map[string]string{
		KeepBoth: {"a": "was b", "b": "was a", "b beside": "theirs"},
		Fail:     {"a": "was a", "b": "was b", "b beside": "theirs"},
	} {
		r := newRig(t)
		r.opt.Delay, r.opt.OnConflict = 1<<40, policy
		r.opt.Bucket = &copyHook{r.bucket, func(q ossclient.CopyRequest, after bool) {
			if q.Key == "a" && q.Source.Key == "b" && after {
				r.put("b", "theirs")
			}
		}}
		s := r.open()
		a := Side{RenameSource{Version: r.put("a", "was a"), Attr: fileAttr()}, "b"}
		b := Side{RenameSource{Version: r.put("b", "was b"), Attr: fileAttr()}, "a"}
		err := s.Exchange(t.Context(), a, b, "aside", func(error) {})
		if (policy == Fail) != errors.As(err, new(*ConflictError)) || policy == KeepBoth && err != nil {
			t.Errorf("%d: %v", policy, err)
		}
		r.flush(s)
		if got := r.all(); !maps.Equal(got, want) {
			t.Errorf("%d: the bucket has %q, want %q", policy, got, want)
		}
	}
}
