package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossfs/ossfs/ossclient"
)

// passwdFile is the password file of ossfs 1.x: lines of id:secret or bucket:id:secret, the latter for
// that bucket only, or OSSAccessKeyId=id and OSSSecretKey=secret, which go before both. As there, a file that
// others may read is refused; the one in /etc may be read by its group, too
// (https://www.alibabacloud.com/help/en/oss/developer-reference/configurations-for-ossfs-1-0).
type passwdFile struct {
	path      string
	bucket    string
	groupRead bool
	named     bool // somebody asked for this file: that it is not there is worth a warning
}

const envPasswdFile = "OSS_CREDENTIAL_FILE"

var _ Source = passwdFile{}

// passwdFiles are the places of ossfs 1.x in its order: the file that was named (there -o passwd_file, or the
// environment) instead of all others, else the user's before the machine's
// (https://github.com/aliyun/ossfs, S3fsCred::InitialCredentials).
func (k *kit) passwdFiles(named string) []Source {
	if named = first(named, k.env(envPasswdFile)); named != "" {
		return []Source{passwdFile{path: named, bucket: k.bucket, groupRead: filepath.Dir(named) == k.etc, named: true}}
	}
	list := []Source{}
	if k.home != "" {
		list = append(list, passwdFile{path: filepath.Join(k.home, ".passwd-ossfs"), bucket: k.bucket})
	}
	return append(list, passwdFile{path: filepath.Join(k.etc, "passwd-ossfs"), bucket: k.bucket, groupRead: true})
}

func (p passwdFile) String() string { return p.path }

func (p passwdFile) Retrieve(context.Context) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	info, err := os.Stat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, &passedOver{why: "there is no such file", present: p.named}
	}
	if err != nil {
		return none, unusable("%v", err)
	}
	if info.IsDir() {
		return none, unusable("it is a directory; the keys belong into a file of that name")
	}
	allowed, cure := fs.FileMode(0o600), "600"
	if p.groupRead {
		allowed, cure = 0o640, "640"
	}
	if extra := info.Mode().Perm() &^ allowed & 0o077; extra != 0 {
		return none, unusable("refused: its mode %04o lets others at it; chmod %s %s", info.Mode().Perm(), cure, p.path)
	}
	data, err := readFile(p.path)
	if err != nil {
		return none, unusable("%v", err)
	}
	c, err := parsePasswd(string(data), p.bucket)
	if err != nil {
		return none, err
	}
	if err := check(c); err != nil {
		return none, unusable("%v", err)
	}
	return c, nil
}

// parsePasswd returns the key of the bucket's own line, or else that of the line without a bucket. Its
// errors quote no line.
func parsePasswd(text, bucket string) (ossclient.Credential, error) {
	var general, own, named ossclient.Credential
	number, keys := 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		keys++
		parts := strings.Split(line, ":")
		name, value, isPair := strings.Cut(line, "=")
		switch {
		case isPair && name == "OSSAccessKeyId":
			named.ID = value
		case isPair && name == "OSSSecretKey":
			named.Secret = value
		case len(parts) == 2:
			general = firstKey(general, ossclient.Credential{ID: parts[0], Secret: parts[1]})
		case len(parts) == 3 && bucket != "" && parts[0] == bucket:
			own = firstKey(own, ossclient.Credential{ID: parts[1], Secret: parts[2]})
		case len(parts) == 3:
		default:
			return ossclient.Credential{}, unusable("line %d is neither id:secret nor bucket:id:secret", number)
		}
	}
	c := firstKey(named, firstKey(own, general))
	switch {
	case c != (ossclient.Credential{}):
		return c, nil
	case keys == 0:
		return c, absent("it has no key")
	default: // ossfs 1.x ends here: that a bucket's name was mistyped must not go unseen
		return c, unusable("%s", noLine(bucket))
	}
}

// firstKey is a, or b when a is nothing.
func firstKey(a, b ossclient.Credential) ossclient.Credential {
	if a == (ossclient.Credential{}) {
		return b
	}
	return a
}

func noLine(bucket string) string {
	if bucket == "" {
		return "it has no line id:secret"
	}
	return fmt.Sprintf("it has no line for the bucket %s, nor one for all", bucket)
}
