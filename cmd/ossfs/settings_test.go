package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse reads a mount's command line as the command does.
func parse(t *testing.T, args ...string) (*settings, error) {
	t.Helper()
	s := new(settings)
	flags := newFlagSet(mountName)
	s.define(flags)
	if err := flags.Parse(args); err != nil {
		return s, flagError(mountName, flags, err)
	}
	if err := applyEnvironment(flags); err != nil {
		return s, err
	}
	return s, applyConfig(flags)
}

func TestOptions(t *testing.T) {
	isolate(t)
	s, err := parse(t, "-o", `ro,_netdev,nofail,noauto,user,x-systemd.automount,nosuid,noatime,attr_ttl=5m,write-back=off`,
		"-o", `uid=1000,gid=0,umask=027,allow_other,region=cn-beijing,log_file=/a\,b`)
	if err != nil {
		t.Fatal(err)
	}
	if !s.readOnly || !s.allowOther || time.Duration(s.attrTTL) != 5*time.Minute || !s.writeBack.off || s.region != "cn-beijing" ||
		s.uid.id != 1000 || !s.uid.set || !s.gid.set || s.umask != 0o27 || s.logging.file != "/a,b" {
		t.Errorf("got %+v", s)
	}
	if want := []string{"nosuid", "noatime"}; !slices.Equal(s.kernel, want) {
		t.Errorf("for the kernel: got %v, want %v", s.kernel, want)
	}
}

// Of flags and options that disagree the later one counts.
func TestTheLaterCounts(t *testing.T) {
	isolate(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--region", "a", "-o", "region=b"}, "b"},
		{[]string{"-o", "region=b", "--region", "a"}, "a"},
	} {
		s, err := parse(t, tt.args...)
		if err != nil || s.region != tt.want {
			t.Errorf("%v: got %q, %v, want %q", tt.args, s.region, err, tt.want)
		}
	}
}

// Flags over environment over the user's file over the system's or the named one.
func TestPrecedence(t *testing.T) {
	isolate(t)
	dir := os.Getenv("XDG_CONFIG_HOME")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(userConfigName, "region = file # a comment\nlog_file = /a#b\n# another\nattr_ttl=7s\nread-only\nmemory = 3G\n\n# end\n")
	t.Setenv("OSS_REGION", "oss-environment")
	s, err := parse(t, "--memory", "1G")
	if err != nil {
		t.Fatal(err)
	}
	if s.region != "oss-environment" || time.Duration(s.attrTTL) != 7*time.Second || !s.readOnly || s.memory != 1<<30 || s.logging.file != "/a#b" {
		t.Errorf("got region %q, ttl %v, read-only %v, memory %v", s.region, time.Duration(s.attrTTL), s.readOnly, s.memory)
	}
	t.Setenv("OSSFS_REGION", "environment")
	t.Setenv("OSSFS_FSYNC", "local")
	s, err = parse(t, "--config", write("other", "fsync = bucket\nregion=other"))
	if err != nil || s.region != "environment" || s.fsync.value != "local" || s.readOnly {
		t.Errorf("got region %q, fsync %q, read-only %v, %v", s.region, s.fsync.value, s.readOnly, err)
	}
	t.Setenv("OSSFS_FSYNC", "perhaps")
	if _, err := parse(t); err == nil || err.Error() != "OSSFS_FSYNC=perhaps: want bucket, local" {
		t.Errorf("got %v", err)
	}
}

// A variable that is nearly one of ours is a mistake, and others that begin alike are somebody else's.
func TestMistypedVariables(t *testing.T) {
	isolate(t)
	for _, name := range []string{"OSSFS_SERVICE_HOST", "OSSFS_PORT", "OSSFS_SOURCE", "OSSFS_TARGET", "OSSFS_MOUNT", "OSSFS_RUN_DIR", "OSSFS_READY_FD", "OSSFS_VERSION", "OSSFS_CREDENTIAL_PROCESS"} {
		t.Setenv(name, "x")
	}
	if _, err := parse(t, "--region", "a"); err != nil {
		t.Errorf("variables of others: got %v", err)
	}
	t.Setenv("OSSFS_ATTRTTL", "5m")
	if _, err := parse(t); err == nil || err.Error() != "OSSFS_ATTRTTL: no such setting: did you mean OSSFS_ATTR_TTL?" || statusOf(err) != exitUsage {
		t.Errorf("got %v", err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	isolate(t)
	for text, want := range map[string]string{
		"regoin = x":               ":1: no such key regoin: did you mean region?",
		"\n\nmemory = x":           ":3: memory = x: want a size such as 64MiB, 1G or 2GB",
		"memory":                   ":1: memory needs a value: memory = SIZE",
		"memory=1\nmemory=2":       ":2: memory stands twice",
		"= 5":                      ":1: a name is missing before the =",
		"secretaccesskey = secret": ":1: no such key secretaccesskey: ossfs takes no secret",
	} {
		path := filepath.Join(t.TempDir(), "conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := parse(t, "--config", path)
		if err == nil || !strings.HasPrefix(err.Error(), path+want) || statusOf(err) != exitUsage {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := parse(t, "--config", "/nowhere/conf"); err == nil || err.Error() != "configuration /nowhere/conf: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"64MiB": 64 << 20, "1G": 1 << 30, "2GB": 2e9, "4096": 4096, "1.5k": 1536, "1 MiB": 1 << 20, "3TiB": 3 << 40, "10b": 10, "1Ki": 1024,
		"0.1": 1,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "1GG", "1Q", "-1G", "0", "1e3", "0x10", "9E", "1_000", "1/2", "NaN", "infinity", "1GiBB", "1bb"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"64MiB", "1G", "1.5e", "9223372036854775807"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text)
		if err != nil {
			return
		}
		if n <= 0 {
			t.Fatalf("%q: got %d", text, n)
		}
		if n >= 7<<60 { // shown as 8EiB, which is no size any more
			return
		}
		again, err := parseSize(formatSize(n))
		if err != nil || float64(again) < float64(n)*0.9 || float64(again) > float64(n)*1.1 {
			t.Errorf("%q is %d, shown as %s, read as %d, %v", text, n, formatSize(n), again, err)
		}
	})
}

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"oss://bucket":           "oss://bucket",
		"oss://bucket/":          "oss://bucket",
		"oss://bucket/a/b/":      "oss://bucket/a/b",
		"oss://bucket//a":        "oss://bucket/a",
		"oss://bucket/träger, x": "oss://bucket/träger, x",
	} {
		s, err := parseSource(text)
		if err != nil || s.String() != want {
			t.Errorf("%s: got %v, %v, want %s", text, s, err, want)
		}
		if s.prefix != "" && !strings.HasSuffix(string(s.prefix), "/") {
			t.Errorf("%s: prefix %q does not end with a slash", text, s.prefix)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"memory", "region", "read-only", "uid", "gid", "ro", "mount", "umount", "foreground", "storage-class", "exec"}
	for word, want := range map[string]string{
		"memroy": "memory", "memery": "memory", "mem": "memory", "regions": "region", "rgn": "region", "readonly": "read-only", "duid": "uid",
		"mnt": "mount", "unmount": "umount", "r0": "ro", "storage-clas": "storage-class",
		"xyzzy": "", "foo": "", "bar": "", "me": "", "tmp": "", "size": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}
