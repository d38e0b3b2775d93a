package ossclient_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// An upload whose beginning is in doubt is never taken for one that somebody has begun before: whoever ends that one
// would end both.
func TestUploadsOfOthersAreNotTakenOver(t *testing.T) {
	for _, kind := range []ossserver.FaultKind{ossserver.ResetBefore, ossserver.ResetAfter, ossserver.CutBody} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			s := ossservertest.NewTest(t, ossserver.Options{})
			b := open(t, s, func(c *ossclient.Config) { c.RetryBudget = 20 * time.Second })
			doubted := false
			q := ossclient.UploadRequest{Key: "k", Doubt: func() { doubted = true }}
			first, err := b.CreateUpload(t.Context(), q)
			if err != nil || doubted {
				t.Fatal(err, doubted)
			}
			s.SetFaults(ossserver.Fault{Op: "InitiateMultipartUpload", Kind: kind, Count: 1})
			second, err := b.CreateUpload(t.Context(), q)
			if err != nil || second == first || second == "" || !doubted {
				t.Errorf("the second upload is %q, the first %q; in doubt: %v, %v", second, first, doubted, err)
			}
			if !slices.ContainsFunc(s.Uploads(ossservertest.Bucket), func(u ossserver.UploadInfo) bool { return ossclient.UploadID(u.ID) == second }) {
				t.Error("OSS does not know the second upload")
			}
		})
	}
}
