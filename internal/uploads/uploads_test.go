package uploads

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type key struct{}

func (key) Retrieve(context.Context) (ossclient.Credential, error) {
	return ossclient.Credential{ID: ossservertest.KeyID, Secret: ossservertest.Secret}, nil
}

func open(t *testing.T, s *ossservertest.Server) *ossclient.Bucket {
	t.Helper()
	b, err := ossclient.Open(context.Background(), ossclient.Config{
		Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.Endpoint, Credentials: key{}, RetryBudget: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// begin starts an upload with so many parts of 100 KiB.
func begin(t *testing.T, b *ossclient.Bucket, k ossclient.Key, parts int) ossclient.UploadID {
	t.Helper()
	id, err := b.CreateUpload(context.Background(), ossclient.UploadRequest{Key: k})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= parts; n++ {
		p := ossclient.PartRequest{Key: k, Upload: id, Number: n, Body: bytes.NewReader(make([]byte, 100<<10)), Size: 100 << 10}
		if _, err := b.UploadPart(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func TestListAndAbort(t *testing.T) {
	now := time.Now()
	clock := now.Add(-48 * time.Hour)
	s := ossservertest.NewTest(t, ossserver.Options{Now: func() time.Time { return clock }})
	b := open(t, s)
	begin(t, b, "pre/old", 3)
	begin(t, b, "pre/old\n[31m", 0)
	clock = now.Add(-time.Hour)
	begin(t, b, "pre/young", 1)
	begin(t, b, "other", 1)

	list, err := List(context.Background(), b, "pre/", 0, now)
	if err != nil || len(list) != 3 {
		t.Fatalf("got %+v, %v, want three uploads", list, err)
	}
	if u := list[0]; u.Key != "pre/old" || u.Parts != 3 || u.Bytes != 300<<10 || u.Age < 47*3600 || u.ID == "" {
		t.Errorf("got %+v, want three parts, 300 KiB, two days", u)
	}
	var text strings.Builder
	if err := Print(&text, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2d     300 KiB       3  pre/old\n", `"pre/old\n[31m"`, "1h     100 KiB       1  pre/young\n", "3 uploads, 400 KiB"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &text)
		}
	}

	old, err := List(context.Background(), b, "pre/", 24*time.Hour, now)
	if err != nil || len(old) != 2 {
		t.Fatalf("got %+v, %v, want the two old ones", old, err)
	}
	if failed := Abort(context.Background(), b, old); failed != 0 || !old[0].Aborted || !old[1].Aborted {
		t.Errorf("%d failed: %+v", failed, old)
	}
	var left []string
	for _, u := range s.Uploads(ossservertest.Bucket) {
		left = append(left, u.Key)
	}
	if got := fmt.Sprint(left); got != "[other pre/young]" {
		t.Errorf("left %s, want [other pre/young]", got)
	}
	if failed := Abort(context.Background(), b, old); failed != 0 {
		t.Errorf("%d failed: what has ended is ended", failed)
	}
}

// Many are asked about at once; one that cannot be aborted does not keep the others.
func TestManyAndOneRefused(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	b := open(t, s)
	for i := range 100 {
		begin(t, b, ossclient.Key(fmt.Sprintf("k%03d", i)), i%2)
	}
	s.SetFaults(ossserver.Fault{Op: "AbortMultipartUpload", KeyPrefix: "k007", Status: http.StatusForbidden, Code: "AccessDenied"})
	list, err := List(context.Background(), b, "", 0, time.Now().Add(time.Minute))
	if err != nil || len(list) != 100 || Total(list) != 50*100<<10 {
		t.Fatalf("got %d uploads of %d bytes, %v", len(list), Total(list), err)
	}
	if failed := Abort(context.Background(), b, list); failed != 1 || !strings.Contains(list[7].Error, "AccessDenied") {
		t.Errorf("%d failed, %+v; want k007 alone", failed, list[7])
	}
	if n := len(s.Uploads(ossservertest.Bucket)); n != 1 {
		t.Errorf("%d left, want 1", n)
	}
}

// restless is a bucket whose uploads end while they are asked about.
type restless struct {
	*ossclient.Bucket
	busy, most atomic.Int64
}

func (r *restless) ListParts(ctx context.Context, k ossclient.Key, id ossclient.UploadID) ([]ossclient.Part, error) {
	r.most.Store(max(r.most.Load(), r.busy.Add(1)))
	defer r.busy.Add(-1)
	if k < "k100" {
		return nil, &ossclient.Error{Op: "ListParts", Kind: ossclient.ErrNotExist}
	}
	return r.Bucket.ListParts(ctx, k, id)
}

func (r *restless) AbortUpload(context.Context, ossclient.Key, ossclient.UploadID) error {
	return &ossclient.Error{Op: "AbortMultipartUpload", Kind: ossclient.ErrNotExist}
}

func TestUploadsThatEndMeanwhile(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{Latency: time.Millisecond})
	b := &restless{Bucket: open(t, s)}
	for i := range 200 {
		begin(t, b.Bucket, ossclient.Key(fmt.Sprintf("k%03d", i)), 0)
	}
	list, err := List(context.Background(), b, "", 0, time.Now().Add(time.Minute))
	if err != nil || len(list) != 100 || list[0].Key != "k100" {
		t.Fatalf("got %d uploads, %v; want those from k100 on", len(list), err)
	}
	if most := b.most.Load(); most < 2 || most > atOnce {
		t.Errorf("%d asked about at once, want 2 to %d", most, atOnce)
	}
	if failed := Abort(context.Background(), b, list); failed != 0 {
		t.Errorf("%d failed: what has ended is ended", failed)
	}
}

func TestCancelled(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	b := open(t, s)
	begin(t, b, "k", 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	if _, err := List(ctx, b, "", 0, time.Now()); !errors.Is(err, ossclient.ErrCanceled) {
		t.Errorf("got %v, want ErrCanceled", err)
	}
	list := []Upload{{Key: "k", ID: "x"}}
	if failed := Abort(ctx, b, list); failed != 1 || list[0].Error != "enough" {
		t.Errorf("%d failed, %+v; want one, and why", failed, list[0])
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 24 * time.Hour: "1d", 0: "0s", 5 * time.Second: "5s", 61 * time.Second: "1m1s", 25 * time.Hour: "1d1h", 90 * time.Minute: "1h30m",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}
