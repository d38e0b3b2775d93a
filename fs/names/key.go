package names

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ossfs/ossfs/ossclient"
)

// Join is the key of a child of dir ("" or "a/b/").
func Join(dir ossclient.Key, component string, isDir bool) ossclient.Key {
	key := dir + ossclient.Key(component)
	if isDir {
		key += "/"
	}
	return key
}

// Check says whether OSS takes key for something new: ErrTooLong, ErrInvalid or nil.
func Check(key ossclient.Key) error {
	switch {
	case len(key) > MaxKey:
		return fmt.Errorf("key of %d bytes, the longest has %d: %w", len(key), MaxKey, ErrTooLong)
	case key == "", key[0] == '/', key[0] == '\\', !utf8.ValidString(string(key)):
		return fmt.Errorf("key %q: %w", string(key), ErrInvalid)
	}
	return nil
}

// IsDir says whether key is a directory's.
func IsDir(key ossclient.Key) bool { return strings.HasSuffix(string(key), "/") }

// Split is the inverse of Join: the directory that holds key, and key's component in it.
func Split(key ossclient.Key) (dir ossclient.Key, component string) {
	s := strings.TrimSuffix(string(key), "/")
	i := strings.LastIndexByte(s, '/') + 1
	return key[:i], s[i:]
}

// Child is the component of dir's child that key is or is below of, and whether that child is a
// directory. key begins with dir and is longer.
func Child(dir, key ossclient.Key) (component string, isDir bool) {
	rest := string(key[len(dir):])
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i], true
	}
	return rest, false
}

// Within says whether key is in the directory dir, directly or deeper, or is dir itself.
func Within(dir, key ossclient.Key) bool { return strings.HasPrefix(string(key), string(dir)) }

// Path is the path of key below the directory root: the names of its components joined by "/". Files
// beside a directory of the same component are not told apart, for that depends on what the bucket has.
func Path(root, key ossclient.Key) string {
	var b strings.Builder
	for dir := root; len(dir) < len(key); {
		component, isDir := Child(dir, key)
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		b.WriteString(In(dir).Name(component))
		dir = Join(dir, component, isDir)
	}
	return b.String()
}
