package names

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/ossfs/ossfs/ossclient"
)

var (
	top  = In("")
	deep = In("d/")
)

func TestName(t *testing.T) {
	long := strings.Repeat("é", 200)
	tests := []struct {
		place           Place
		component, name string
	}{
		{deep, "a", "a"},
		{deep, "a b\n\x7f", "a b\n\x7f"},
		{deep, "50%", "50%"},
		{deep, "%oss:", "%oss:"},
		{deep, "%oss:key=abc", "%oss:key=abc"},
		{deep, "%oss:key=%2E", "%oss:key=%2E"},
		{deep, "", "%oss:key="},
		{deep, ".", "%oss:key=."},
		{deep, "..", "%oss:key=.."},
		{deep, "...", "..."},
		{deep, "a\x00b", "%oss:key=a%00b"},
		{deep, "%oss:key=.", "%oss:key=%25oss:key=."},
		{deep, "%oss:key=%25oss:key=.", "%oss:key=%25oss:key=%2525oss:key=."},
		{deep, "%oss:file=a", "%oss:key=%25oss:file=a"},
		{deep, "%oss:content", "%oss:key=%25oss:content"},
		{deep, "%oss:bytes=%FF", "\xff"},
		{deep, "%oss:bytes=%25oss:bytes=%25FF", "%oss:bytes=%FF"},
		{deep, "%oss:bytes=a", "%oss:bytes=a"},
		{deep, "\xff", "%oss:key=%FF"},
		{deep, `\a`, `\a`},
		{top, `\a`, `%oss:key=\a`},
		{top, `%oss:bytes=\a`, `\a`},
		{deep, strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{deep, long, "%oss:long=" + hashOf(long) + "=" + strings.Repeat("é", 106)},
	}
	for _, tt := range tests {
		if got := tt.place.Name(tt.component); got != tt.name {
			t.Errorf("name of %q: got %q, want %q", tt.component, got, tt.name)
		}
		ref, err := tt.place.Parse(tt.name)
		if err != nil {
			t.Errorf("parse %q: %v", tt.name, err)
			continue
		}
		if ref.Kind == Long {
			if !strings.HasPrefix(tt.component, ref.Head) || !tt.place.Matches(ref, tt.component) {
				t.Errorf("parse %q: head %q does not lead to %q", tt.name, ref.Head, tt.component)
			}
		} else if ref.Component != tt.component || ref.Kind != Plain {
			t.Errorf("component of %q: got %q kind %d, want %q", tt.name, ref.Component, ref.Kind, tt.component)
		}
	}
}

func hashOf(s string) string { return shorten(longForm, longForm, s)[len(longForm):][:hashChars] }

func TestBeside(t *testing.T) {
	for _, c := range []string{"a", ".", "\x00", "100%", strings.Repeat("x", 245), strings.Repeat("x", 300), "%oss:file=a"} {
		n := deep.Beside(c)
		ref, err := deep.Parse(n)
		if err != nil {
			t.Fatalf("parse %q: %v", n, err)
		}
		switch ref.Kind {
		case Beside:
			if ref.Component != c {
				t.Errorf("%q beside its directory is %q, read as %q", c, n, ref.Component)
			}
		case LongBeside:
			if !strings.HasPrefix(c, ref.Head) || !deep.Matches(ref, c) || deep.Matches(ref, c+"x") {
				t.Errorf("%q beside its directory is %q, not found by it", c, n)
			}
		default:
			t.Errorf("%q beside its directory is %q, of kind %d", c, n, ref.Kind)
		}
		if n == deep.Name(c) {
			t.Errorf("file and directory %q share the name %q", c, n)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, want := range map[string]error{
		"": syscall.EINVAL, ".": syscall.EINVAL, "..": syscall.EINVAL, "a/b": syscall.EINVAL, "a\x00": syscall.EINVAL,
		strings.Repeat("x", 256): syscall.ENAMETOOLONG,
	} {
		if _, err := deep.Parse(name); !errors.Is(err, want) {
			t.Errorf("parse %q: got %v, want %v", name, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for key, want := range map[ossclient.Key]error{
		"a": nil, "a//b/": nil, ossclient.Key(strings.Repeat("k", 1023)): nil,
		ossclient.Key(strings.Repeat("k", 1024)): ErrTooLong,
		"":                                       ErrInvalid, "/a": ErrInvalid, `\a`: ErrInvalid, "a\xff": ErrInvalid,
	} {
		if err := Check(key); !errors.Is(err, want) {
			t.Errorf("check %.20q: got %v, want %v", string(key), err, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		key, dir  ossclient.Key
		component string
		isDir     bool
	}{
		{"a", "", "a", false}, {"a/", "", "a", true}, {"a/b", "a/", "b", false}, {"a/b/", "a/", "b", true},
		{"a//", "a/", "", true}, {"a//b", "a//", "b", false}, {"/", "", "", true},
	} {
		dir, component := Split(tt.key)
		if dir != tt.dir || component != tt.component || IsDir(tt.key) != tt.isDir {
			t.Errorf("split %q: got %q, %q, want %q, %q", tt.key, dir, component, tt.dir, tt.component)
		}
		if got := Join(dir, component, tt.isDir); got != tt.key {
			t.Errorf("join of %q's parts is %q", tt.key, got)
		}
		if c, isDir := Child(tt.dir, tt.key); c != tt.component || isDir != tt.isDir {
			t.Errorf("child of %q at %q: got %q, %v", tt.dir, tt.key, c, isDir)
		}
	}
	if got, want := Path("p/", "p/a//b\x00/.."), "a/%oss:key=/%oss:key=b%00/%oss:key=.."; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
}

func seeds(f *testing.F) {
	for _, s := range []string{
		"a", "", ".", "..", "\x00", "\xff", `\`, "%oss:", "%oss:key=", "%oss:key=.", "%oss:key=%25oss:key=.", "%oss:file=a", "%oss:content",
		"%oss:bytes=%FF", "%oss:bytes=%25oss:bytes=%25FF", "%oss:bytes=%oss:key=.", "%oss:key=%25oss:bytes=%25FF", "%oss:bytes=" + strings.Repeat("%FF", 255),
		"%oss:bytes=%25oss:file=a", strings.Repeat("x", 256), strings.Repeat("\xff", 255), longForm + strings.Repeat("0", 32) + "=a",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
}

// Every component is found again by its name, and the name is legal.
func FuzzComponents(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, c string, atTop bool) {
		p := Place{top: atTop}
		if strings.Contains(c, "/") || len(c) > MaxKey {
			return
		}
		n := p.Name(c)
		if !legal(n) {
			t.Fatalf("%q has the name %q, which no file can have", c, n)
		}
		ref, err := p.Parse(n)
		if err != nil {
			t.Fatalf("%q has the name %q: %v", c, n, err)
		}
		if ref.Kind == Long && strings.HasPrefix(c, ref.Head) && p.Matches(ref, c) {
			return
		}
		if ref.Kind != Plain || ref.Component != c {
			t.Errorf("%q has the name %q, which is read as %q (kind %d)", c, n, ref.Component, ref.Kind)
		}
	})
}

// Every name is that of exactly its component, which is UTF-8 and one component.
func FuzzNames(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, n string, atTop bool) {
		p := Place{top: atTop}
		ref, err := p.Parse(n)
		if err != nil {
			if legal(n) {
				t.Errorf("parse %q: %v", n, err)
			}
			return
		}
		switch ref.Kind {
		case Plain:
			if got := p.Name(ref.Component); got != n {
				t.Errorf("%q is the component %q, whose name is %q", n, ref.Component, got)
			}
		case Beside:
			if got := p.Beside(ref.Component); got != n {
				t.Errorf("%q is the file %q, whose name is %q", n, ref.Component, got)
			}
		}
		if strings.Contains(ref.Component, "/") {
			t.Errorf("%q is the component %q", n, ref.Component)
		}
		if ref.Kind == Plain && !strings.HasPrefix(n, keyForm) && !utf8.ValidString(ref.Component) {
			t.Errorf("%q is the component %q, which is not UTF-8", n, ref.Component)
		}
	})
}
