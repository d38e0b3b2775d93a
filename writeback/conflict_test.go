package writeback

import (
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The key of a conflict's copy is one that OSS and a directory take, however long the name is.
func TestConflictKey(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for _, key := range []string{"f", "d/f", "d/" + strings.Repeat("n", 255), strings.Repeat("d/", 450) + strings.Repeat("n", 100), "d/" + strings.Repeat("ä", 127)} {
		got := string(conflictKey(Key(key), "h/o\nst", now))
		dir, name := path.Split(got)
		if want, _ := path.Split(key); dir != want || len(got) > 1023 || len(name) > 255 || !utf8.ValidString(name) || !strings.HasSuffix(name, ".conflict-h_o_st-20231114T221320.000Z") {
			t.Errorf("%.20q of %d bytes: got %q", key, len(key), got)
		}
	}
}
