package doctor

import (
	"strings"
	"testing"
)

func TestPrinter(t *testing.T) {
	var b strings.Builder
	p := Printer{W: &b, Width: 70}
	r := Report{Checks: []Check{
		{Name: "kernel", Outcome: OK, Found: "Linux", Cure: "not shown"},
		{Name: "put", Outcome: Fail, Found: "not allowed: a rather long answer of the server, \x1b[2Jwith tricks", Cure: "grant oss:PutObject on bucket/prefix/*, which needs more than one line"},
		{Name: "credentials", Outcome: OK, Found: "profile", Details: []string{"the environment: not configured"}},
		{Name: "upload", Outcome: Skip, Found: "not reached"},
	}}
	for _, c := range r.Checks {
		p.Check(c)
	}
	p.Summary(r)
	want := `ok    kernel       Linux
fail  put          not allowed: a rather long answer of the server,
                   ?[2Jwith tricks
                   -> grant oss:PutObject on bucket/prefix/*, which
                      needs more than one line
ok    credentials  profile
                   - the environment: not configured
skip  upload       not reached

2 ok, 1 failed, 1 not asked: follow the arrows below what failed, from the top
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 80 {
			t.Errorf("wider than 80: %q", line)
		}
	}
	b.Reset()
	p.Colour = true
	p.Check(r.Checks[1])
	if !strings.HasPrefix(b.String(), "\x1b[31;1mfail\x1b[0m  put") {
		t.Errorf("got %q, want a red fail", b.String())
	}
}
