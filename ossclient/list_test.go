package ossclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
	"github.com/ossfs/ossfs/ossclient"
)

// A page may be empty and not the last one, of deleted versions for one: what follows it is given.
func TestListPassesOverEmptyPages(t *testing.T) {
	const page = `<ListBucketResult><IsTruncated>%v</IsTruncated><NextContinuationToken>%s</NextContinuationToken>%s</ListBucketResult>`
	pages := map[string]string{
		"":  fmt.Sprintf(page, true, "1", ""),
		"1": fmt.Sprintf(page, true, "2", ""),
		"2": fmt.Sprintf(page, true, "3", `<Contents><Key>a</Key><Size>1</Size></Contents>`),
		"3": fmt.Sprintf(page, true, "4", ""),
		"4": fmt.Sprintf(page, false, "", ""),
		"5": fmt.Sprintf(page, true, "5", ""),
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if token := q.Get("continuation-token"); q.Has("list-type") && (token == "") != (q.Get("start-after") == "first") {
			t.Errorf("asked for what comes after %q, by the token %q", q.Get("start-after"), token)
		}
		_, _ = io.WriteString(w, pages[q.Get("continuation-token")]) // the client says what it got
	}))
	defer s.Close()
	b, err := ossclient.OpenPatiently(t.Context(), ossclient.Config{
		Bucket: ossservertest.Bucket, Region: ossservertest.Region, Endpoint: s.URL, RetryBudget: time.Nanosecond,
	}, time.Second, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := b.List(t.Context(), ossclient.ListRequest{StartAfter: "first"})
	if err != nil || len(got.Objects) != 1 || got.Objects[0].Key != "a" || got.Next != "3" {
		t.Errorf("got %+v, %v; want the page of one key", got, err)
	}
	got, err = b.List(t.Context(), ossclient.ListRequest{Token: got.Next})
	if err != nil || len(got.Objects) != 0 || got.Next != "" {
		t.Errorf("got %+v, %v; want an empty page, the last one", got, err)
	}
	if got, err := b.List(t.Context(), ossclient.ListRequest{Token: "5"}); err == nil {
		t.Errorf("a page that names itself as the next one is %+v", got)
	}
}
