package namespace

import (
	"strings"

	"github.com/ossfs/ossfs/fs/names"
	"github.com/ossfs/ossfs/ossclient"
)

// relative is the target of a symbolic link at key that leads to the object target, as a path. What lies
// outside the mount is shown as OSS has it, and leads nowhere.
func (t *Tree) relative(key, target ossclient.Key) string {
	if !names.Within(t.o.Root, target) {
		return string(target)
	}
	dir, _ := names.Split(key)
	up := ""
	for !names.Within(dir, target) {
		dir, _ = names.Split(dir)
		up += "../"
	}
	return strings.TrimSuffix(up+names.Path(dir, target), "/")
}
