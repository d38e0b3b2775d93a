package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a command line in this process, for those that end before anything is mounted.
func call(t *testing.T, args ...string) (status int, out, errText string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(append([]string{"ossfs"}, args...), &console{out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}

// isolate keeps the machine's own configuration out of a test.
func isolate(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, environmentPrefix) || strings.HasPrefix(name, "OSS_") || strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, "")
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	t.Setenv("OSSFS_RUN_DIR", filepath.Join(home, "run"))
}

func TestWrongCommandLines(t *testing.T) {
	isolate(t)
	const where = " oss://bucket /mnt"
	tests := []struct {
		args string
		want string // after "ossfs: "
	}{
		{"", "which command? ossfs help lists them"},
		{"mnt", `no such command "mnt": did you mean "mount"?`},
		{"frobnicate", `no such command "frobnicate": ossfs help lists them`},
		{"--foreground mount" + where, "--foreground: a command comes first: ossfs mount --foreground ..."},
		{"mount", "mount what, and where? ossfs mount oss://BUCKET /mnt"},
		{"mount oss://bucket", "mount oss://bucket where? ossfs mount oss://bucket /mnt"},
		{"mount" + where + " more", `mount takes a bucket and a mountpoint, and was given "more" besides`},
		{"mount bucket /mnt", "bucket: a bucket is written oss://bucket"},
		{"mount bucket:/some/folder/ /mnt", "bucket:/some/folder/: a bucket is written oss://bucket/some/folder"},
		{"mount s3://x /mnt", "s3://x: a bucket is written oss://BUCKET/PREFIX"},
		{"mount s3://photos/2024 /mnt", "s3://photos/2024: a bucket is written oss://photos/2024"},
		{"mount remote:photos/2024/ /mnt", "remote:photos/2024/: a bucket is written oss://photos/2024"},
		{"mount https://photos.oss-cn-hangzhou.aliyuncs.com /mnt", "https://photos.oss-cn-hangzhou.aliyuncs.com: a bucket is written oss://BUCKET/PREFIX"},
		{"mount oss://Bucket /mnt", `oss://Bucket: bucket name "Bucket" must be in lower case`},
		{"mount oss://my_bucket /mnt", `oss://my_bucket: bucket name "my_bucket" may hold only lower-case letters, digits and hyphens`},
		{"mount oss://b /mnt", `oss://b: bucket name "b" must have 3 to 63 characters`},
		{"mount oss://-bucket /mnt", `oss://-bucket: bucket name "-bucket" may not begin or end with a hyphen`},

		{"mount --memroy 1G" + where, "no such flag --memroy: did you mean --memory?"},
		{"mount --frobnicate" + where, "no such flag --frobnicate: ossfs help mount lists them"},
		{"mount --ro" + where, "no such flag --ro: it is a mount option: -o ro"},
		{"mount --default-permissions" + where, "no such flag --default-permissions: it is a mount option: -o default_permissions"},
		{"mount -Z" + where, "no such flag -Z: ossfs help mount lists them"},
		{"mount --memory", "--memory needs a value: --memory SIZE"},
		{"mount --memory lots" + where, "--memory lots: want a size such as 64MiB, 1G or 2GB"},
		{"mount --memory 0" + where, "--memory 0: a size is above 0"},
		{"mount --attr-ttl 5" + where, "--attr-ttl 5: a duration has a unit: 5s?"},
		{"mount --attr-ttl soon" + where, "--attr-ttl soon: want a duration such as 500ms, 30s or 1m30s"},
		{"mount --attr-ttl=-1s" + where, "--attr-ttl -1s: a duration is not negative"},
		{"mount --write-back never" + where, "--write-back never: want a duration such as 500ms, 30s or 1m30s, or off"},
		{"mount --file-mode 0999" + where, "--file-mode 0999: want permission bits in octal, such as 0644"},
		{"mount --uid no-such-user" + where, "--uid no-such-user: no such user: give its number"},
		{"mount --gid no-such-group" + where, "--gid no-such-group: no such group: give its number"},
		{"mount --sign v9" + where, "--sign v9: want v4, v2, v1"},
		{"mount --read-only=perhaps" + where, "--read-only perhaps: it takes no value, or true or false"},
		{"mount --storage-class Cold" + where, "--storage-class Cold: want Standard, IA, Archive, ColdArchive, DeepColdArchive"},
		{"mount --memory 512" + where, "--memory 512B: want at least 16MiB (a number without a unit is bytes)"},
		{"mount -o stage_size=10240" + where, "--stage-size 10KiB: want at least 1MiB (a number without a unit is bytes)"},
		{"mount --single-put 25" + where, "--single-put 25B: want at least 100KiB (a number without a unit is bytes)"},
		{"mount --single-put 6G" + where, "--single-put 6GiB: one PutObject stores at most 5GiB"},
		{"mount --sse DES" + where, "--sse DES: want AES256, KMS, SM4"},
		{"mount --sse AES256 --sse-key-id k" + where, "--sse-key-id names a key of KMS: add --sse KMS"},
		{"mount --acl public" + where, "--acl public: want default, private, public-read, public-read-write"},
		{"mount --tags a" + where, "--tags a: want NAME=VALUE, several joined by &: letters, digits, spaces and + - = . _ : /, a name of at most 128 characters"},
		{"mount --tags a=%" + where, "--tags a=%: the value of a: letters, digits, spaces and + - = . _ : /, at most 256 characters"},
		{"mount --tags a=1&a=2" + where, "--tags a=1&a=2: a is there twice"},
		{"mount --tags a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=" + where, "--tags: 11 tags: an object has at most 10"},
		{"mount --anonymous --profile x" + where, "--anonymous signs nothing: leave --profile and --ram-role away"},
		{"mount --credentials keychain" + where, "--credentials keychain: want env, oidc, assume-role, oss, shared, cli, ossutil, passwd, process, uri, ecs"},
		{"mount --credentials env --anonymous" + where, "--credentials, --ram-role and --anonymous: choose one source of credentials"},
		{"mount --endpoint oss-cn-hangzhou" + where, "--endpoint oss-cn-hangzhou: that is a region: give it with --region cn-hangzhou"},
		{"mount -o endpoint=oss-cn-hangzhou-internal" + where, "--endpoint oss-cn-hangzhou-internal: that is a region: give it with --region cn-hangzhou --internal"},
		{"mount --endpoint x --internal" + where, "--endpoint names the endpoint: leave --internal, --accelerate and --dualstack away"},

		{"mount -o atr_ttl=5s" + where, "no such mount option atr_ttl: did you mean attr-ttl?"},
		{"mount -o attr_ttl" + where, "mount option attr_ttl needs a value: attr_ttl=DUR"},
		{"mount -o ro,memory=x" + where, "mount option memory=x: want a size such as 64MiB, 1G or 2GB"},
		{"mount -o ro=false" + where, "mount option ro takes no value"},
		{"mount -o allow_other=perhaps" + where, "mount option allow_other=perhaps: it takes no value, or true or false"},
		{"mount -o options=ro" + where, "no such mount option options: ossfs help mount lists them"},
		{"mount -o ro,nosiud" + where, "no such mount option nosiud: did you mean nosuid?"},

		{"umount", "umount takes one MOUNTPOINT: ossfs umount /mnt"},
		{"flush", "flush takes one PATH in a mount: ossfs flush /mnt/backup"},
		{"demo a b", `demo takes one MOUNTPOINT, and was given "b" besides: a command comes after --`},
		{"demo a --", "which command comes after --?"},
	}
	for _, tt := range tests {
		status, _, errText := call(t, strings.Fields(tt.args)...)
		lines := strings.Split(strings.TrimSuffix(errText, "\n"), "\n")
		if got := lines[len(lines)-1]; got != "ossfs: "+tt.want || status != exitUsage {
			t.Errorf("ossfs %s\n got %d %q\nwant %d %q", tt.args, status, got, exitUsage, "ossfs: "+tt.want)
		}
		if len(lines) != 1 && tt.args != "" {
			t.Errorf("ossfs %s: got %d lines, want one:\n%s", tt.args, len(lines), errText)
		}
	}
}

// The options of other mounts of buckets lead to ours, whichever way they are written, and their
// values, which may be secrets, are not repeated.
func TestOptionsOfOthers(t *testing.T) {
	isolate(t)
	for option, want := range map[string]string{
		"passwd_file=hush":           "named by the environment: OSS_CREDENTIAL_FILE",
		"oss_access_key_secret=hush": "set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET",
		"url=hush":                   "it is called --endpoint here",
		"oss_endpoint=hush":          "it is called --endpoint here",
		"public_bucket=1":            "it is called --anonymous here",
		"use_cache=/tmp":             "stages writes below --state-dir",
		"parallel_count=5":           "ossfs finds this by itself",
		"stat_cache_expire=900":      "it is called --attr-ttl here",
		"attr_timeout=60":            "it is called --attr-ttl here",
		"dbglevel=info":              "it is called --log-level here",
		"nomultipart":                "nothing is needed in its place",
		"use_path_request_style":     "it is called --addressing path here",
	} {
		for _, args := range [][]string{{"mount", "-o", option}, {"mount", "--" + option}} {
			status, _, errText := call(t, append(args, "oss://bucket", "/mnt")...)
			if status != exitUsage || !strings.Contains(errText, want) {
				t.Errorf("%q: got %d %q, want %d and %q", args, status, errText, exitUsage, want)
			}
			if strings.Contains(errText, "hush") {
				t.Errorf("%q: the value is repeated: %q", args, errText)
			}
		}
	}
}

// No advice is given for an option that exists here, and none for two meanings of one word.
func TestLegacyTable(t *testing.T) {
	flags := newFlagSet(mountName)
	new(settings).define(flags)
	seen := map[string]bool{}
	for _, group := range legacyOptions() {
		for _, name := range strings.Fields(group.names) {
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
			if flags.Lookup(name) != nil {
				t.Errorf("%s is an option of ours", name)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	isolate(t)
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		status, out, errText := call(t, args...)
		if status != exitDone || errText != "" {
			t.Errorf("%v: got %d %q, want 0 and nothing on stderr", args, status, errText)
		}
		for _, cmd := range commands() {
			if strings.Contains(out, "ossfs "+cmd.name) == cmd.hidden {
				t.Errorf("%v: %s is listed: %v", args, cmd.name, cmd.hidden)
			}
		}
	}
	for _, cmd := range commands() {
		status, out, _ := call(t, cmd.name, "--help")
		if status != exitDone || !strings.HasPrefix(out, "usage: ossfs "+cmd.name) {
			t.Errorf("%s --help: got %d %q", cmd.name, status, out)
		}
	}
}

// The contract: these flags exist, with these defaults.
func TestFlagsOfTheContract(t *testing.T) {
	flags := newFlagSet(mountName)
	new(settings).define(flags)
	for name, want := range map[string]string{
		"region": "", "endpoint": "", "internal": "false", "accelerate": "false", "dualstack": "false",
		"addressing": "auto", "sign": "v4", "credentials": "", "profile": "", "ram-role": "", "anonymous": "false",
		"foreground": "false", "read-only": "false", "uid": "", "gid": "", "file-mode": "0644", "dir-mode": "0755", "umask": "0000",
		"state-dir": "", "memory": "", "stage-size": "", "attr-ttl": "1m0s", "write-back": "1s", "fsync": "bucket",
		"log-level": "info", "log-file": "", "log-format": "text", "metrics": "",
	} {
		f := flags.Lookup(name)
		if f == nil {
			t.Errorf("--%s is missing", name)
			continue
		}
		if got := f.Value.String(); got != want {
			t.Errorf("--%s: default %q, want %q", name, got, want)
		}
	}
}
