package ossclient

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

func TestParseContentRange(t *testing.T) {
	for _, c := range []struct {
		s                  string
		first, last, total int64
		ok                 bool
	}{
		{"bytes 0-9/10", 0, 9, 10, true},
		{"bytes 5-5/10", 5, 5, 10, true},
		{"bytes 5-10/10", 0, 0, 0, false},
		{"bytes 6-5/10", 0, 0, 0, false},
		{"bytes -5/10", 0, 0, 0, false},
		{"bytes 0-9/*", 0, 0, 0, false},
		{"bytes */10", 0, 0, 0, false},
		{"0-9/10", 0, 0, 0, false},
		{"bytes 0-99999999999999999999/10", 0, 0, 0, false},
		{"", 0, 0, 0, false},
	} {
		first, last, total, ok := parseContentRange(c.s)
		if ok != c.ok || ok && (first != c.first || last != c.last || total != c.total) {
			t.Errorf("%q: got %d-%d/%d, %v; want %d-%d/%d, %v", c.s, first, last, total, ok, c.first, c.last, c.total, c.ok)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := parseContentRange(s)
		if ok && (first < 0 || last < first || total <= last) {
			t.Fatalf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}

// FuzzEscape wants what Go's own package reads back.
func FuzzEscape(f *testing.F) {
	f.Add("a b/ü+%")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := url.PathUnescape(escapePath(s)); err != nil || got != s {
			t.Fatalf("path %q became %q, %v", s, got, err)
		}
		if got, err := url.QueryUnescape(escapeQuery(s)); err != nil || got != s {
			t.Fatalf("query %q became %q, %v", s, got, err)
		}
		if got, err := appendUnescaped(nil, []byte(escapeQuery(s))); err != nil || !bytes.Equal(got, []byte(s)) {
			t.Fatalf("listing %q became %q, %v", s, got, err)
		}
	})
}

// FuzzHTTPTime wants what net/http reads.
func FuzzHTTPTime(f *testing.F) {
	for _, s := range []string{
		"Fri, 20 Nov 2026 10:00:00 GMT", "Thu, 29 Feb 2024 23:59:59 GMT", "Wed, 31 Dec 2025 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT",
		"Sat, 20 Nov 2026 10:00:00 GMT", "fri, 20 nov 2026 10:00:00 GMT", "Fri, 30 Feb 2024 10:00:00 GMT", "Tue, 20 anF 2026 10:00:00 GMT", "Xyz, 20 Nov 2026 10:00:00 GMT",
		"Fri, 20 Nov 2026 24:00:00 GMT", "Fri, 20 Nov 2026 10:60:00 GMT", "Fri, 20 Nov 2026 10:00:60 GMT", "Fri, 20 Nov 2026 10:00:00 UTC",
		"Fri, 20 Nov 2026 10-00-00 GMT", "Fri, -2 Nov 2026 10:00:00 GMT", "Fri, 00 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:00 GMT ",
		"Friday, 20-Nov-26 10:00:00 GMT", "Fri Nov 20 10:00:00 2026", "2026-11-20T10:00:00.000Z", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := http.ParseTime(s)
		if err != nil {
			want = time.Time{}
		}
		if got := httpTime(s); !got.Equal(want) {
			t.Fatalf("%q: got %v, want %v", s, got, want)
		}
		if got, ok := plainTime(s); ok && got != want.UTC() {
			t.Fatalf("%q: plainly %v, want %v", s, got, want)
		}
	})
}

// The form that OSS writes does not pass net/http's reader of all forms.
func TestPlainTimeOfEachDay(t *testing.T) {
	for day := range 366 {
		want := time.Date(2024, 1, 1+day, day%24, day%60, 59-day%60, 0, time.UTC)
		if got, ok := plainTime(want.Format(http.TimeFormat)); !ok || got != want {
			t.Fatalf("%v: got %v, %v", want, got, ok)
		}
	}
}

func TestMetadataHasLimits(t *testing.T) {
	user := func(n, size int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m["k"+strconv.Itoa(i)] = string(bytes.Repeat([]byte("v"), size))
		}
		return m
	}
	for _, c := range []struct {
		m  Metadata
		ok bool
	}{
		{Metadata{User: user(1, 8000)}, true},
		{Metadata{User: user(2, 4096)}, false},
		{Metadata{User: map[string]string{"a": "ü"}}, true},
		{Metadata{User: map[string]string{"a": " b"}}, false},
		{Metadata{User: map[string]string{"": "b"}}, false},
		{Metadata{User: map[string]string{"a:b": "c"}}, false},
		{Metadata{CacheControl: "a\nb"}, false},
	} {
		if err := setMetadata(map[string][]string{}, c.m); (err == nil) != c.ok {
			t.Errorf("%.60v: got %v, want ok=%v", c.m, err, c.ok)
		}
	}
}
