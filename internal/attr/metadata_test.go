package attr

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossfs/ossfs/ossclient"
)

func TestMetadataRoundTrip(t *testing.T) {
	var full Attr
	full.SetMode(TypeFile | 0o4751)
	full.SetOwner(1000, 4294967294)
	full.SetMtime(time.Unix(1700000000, 5))
	full.SetAtime(time.Unix(-3, 250_000_000))
	full.SetCtime(time.Unix(1700000001, 0))
	full.Rdev = 7
	full.Xattr = map[string][]byte{"user.a b": {0, 255, '"'}, "user.empty": {}}
	full.Meta = map[string]string{"owner": "someone"}
	full.ContentType, full.CacheControl = "text/plain", "no-cache"

	for name, a := range map[string]Attr{"zero": {}, "full": full} {
		t.Run(name, func(t *testing.T) {
			got := FromMetadata(a.Metadata())
			if diff := cmp.Diff(a, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Errorf("round trip changed the attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// What ossfs 1.x and s3fs write must be read.
func TestFromMetadataOfOthers(t *testing.T) {
	a := FromMetadata(ossclient.Metadata{User: map[string]string{
		"mode": "33188", "uid": "0", "gid": "20", "mtime": "1612345678.000000009", "ctime": "1612345678",
		"xattr": "%7B%22user.k%22%3A%22dg%3D%3D%22%7D",
	}})
	if a.Mode != TypeFile|0o644 || a.Type() != TypeFile {
		t.Errorf("mode: got %o, want %o", a.Mode, TypeFile|0o644)
	}
	if want := HasMode | HasUID | HasGID | HasMtime | HasCtime; a.Has != want {
		t.Errorf("has: got %b, want %b", a.Has, want)
	}
	if want := time.Unix(1612345678, 9); !a.Mtime.Equal(want) {
		t.Errorf("mtime: got %v, want %v", a.Mtime, want)
	}
	if string(a.Xattr["user.k"]) != "v" {
		t.Errorf("xattr: got %q, want %q", a.Xattr, "v")
	}
}

// A header that does not parse is kept as it is, never dropped.
func TestFromMetadataKeepsTheUnreadable(t *testing.T) {
	for name, value := range map[string]string{
		"mode": "rwx", "uid": "-1", "mtime": "yesterday", "atime": "1.x", "xattr": "{", "gid": "99999999999", "rdev": "",
	} {
		a := FromMetadata(ossclient.Metadata{User: map[string]string{name: value}})
		if a.Has != 0 {
			t.Errorf("%s=%q: has %b, want 0", name, value, a.Has)
		}
		if got := a.Metadata().User[name]; got != value {
			t.Errorf("%s=%q was written back as %q", name, value, got)
		}
	}
}

func TestFill(t *testing.T) {
	last := time.Unix(1700000000, 0)
	d := Defaults{UID: 5, GID: 6, FileMode: 0o644, DirMode: 0o755}
	var own Attr
	own.SetMode(TypeLink | 0o777)
	own.SetOwner(1, 2)
	own.SetMtime(time.Unix(9, 9))

	tests := []struct {
		name     string
		d        Defaults
		a        Attr
		typ      uint32
		mode     uint32
		uid, gid uint32
		mtime    time.Time
	}{
		{"a foreign file", d, Attr{}, TypeFile, TypeFile | 0o644, 5, 6, last},
		{"a foreign directory", d, Attr{}, TypeDir, TypeDir | 0o755, 5, 6, last},
		{"its own attributes win", d, own, TypeFile, TypeLink | 0o777, 1, 2, time.Unix(9, 9)},
		{"a mode without type bits", d, Attr{Has: HasMode, Mode: 0o600}, TypeFile, TypeFile | 0o600, 5, 6, last},
		{"uid= overrides", Defaults{UID: 7, ForceUID: true}, own, TypeFile, TypeLink | 0o777, 7, 2, time.Unix(9, 9)},
		{"umask clears", Defaults{Umask: 0o022, FileMode: 0o666}, Attr{}, TypeFile, TypeFile | 0o644, 0, 0, last},
	}
	for _, tt := range tests {
		got := tt.d.Fill(tt.a, tt.typ, last)
		if got.Mode != tt.mode || got.UID != tt.uid || got.GID != tt.gid || !got.Mtime.Equal(tt.mtime) {
			t.Errorf("%s: got mode %o uid %d gid %d mtime %v, want %o %d %d %v",
				tt.name, got.Mode, got.UID, got.GID, got.Mtime, tt.mode, tt.uid, tt.gid, tt.mtime)
		}
	}
}

func FuzzFromMetadata(f *testing.F) {
	f.Add("mtime", "1.5")
	f.Add("xattr", "%7B%7D")
	f.Add("mode", "0033188")
	f.Fuzz(func(t *testing.T, name, value string) {
		a := FromMetadata(ossclient.Metadata{User: map[string]string{name: value}})
		b := FromMetadata(a.Metadata())
		if diff := cmp.Diff(a, b, cmp.Comparer(time.Time.Equal), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s=%q is not stable (-first +second):\n%s", name, value, diff)
		}
	})
}
