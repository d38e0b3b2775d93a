package fs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"github.com/ossfs/ossfs/fs/namespace"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

var (
	_ fusefs.NodeGetxattrer    = (*node)(nil)
	_ fusefs.NodeSetxattrer    = (*node)(nil)
	_ fusefs.NodeListxattrer   = (*node)(nil)
	_ fusefs.NodeRemovexattrer = (*node)(nil)
)

const (
	userSpace = "user."
	ossSpace  = "user.oss." // what OSS says of the object, and what it can be asked to change

	// maxMetadata is what OSS takes of user metadata in all, names included
	// (https://help.aliyun.com/en/oss/user-guide/manage-object-metadata-10).
	maxMetadata = 8 << 10
	metaPrefix  = "x-oss-meta-"

	urlLifetime = time.Hour
)

// ossAttr is an attribute of the user.oss namespace. None is listed, as CephFS does not list its ceph ones: programs that
// keep attributes (cp -a, mv, rsync -X, tar --xattrs) would copy what is true of one object alone to another file,
// and rsync -X would find a difference in each file and try to remove it.
type ossAttr struct {
	name string // without ossSpace
	get  func(n *node, e namespace.Entry) (string, error)
	set  func(ctx context.Context, n *node, value string) error // nil: read-only
	// ask is what a HEAD says, for what neither listings nor the index tell, or what changes by itself.
	ask func(o ossclient.Object) string
}

func ossAttrs() []ossAttr {
	of := func(f func(o ossclient.Object) string) func(*node, namespace.Entry) (string, error) {
		return func(_ *node, e namespace.Entry) (string, error) { return f(e.Object), nil }
	}
	return []ossAttr{
		{name: "etag", get: func(_ *node, e namespace.Entry) (string, error) { return string(e.Version.ETag), nil }},
		{name: "type", get: of(func(o ossclient.Object) string { return string(o.Type) })},
		{name: "version-id", get: of(versionID), ask: versionID},
		{name: "crc64", get: of(crc64Text), ask: crc64Text},
		{name: "storage-class", get: of(storageClass), ask: storageClass,
			set: setField(func(a *attr.Attr, v string) { a.StorageClass = v })},
		{name: "content-type", get: contentType, set: setField(func(a *attr.Attr, v string) { a.ContentType = v })},
		{name: "cache-control", get: func(_ *node, e namespace.Entry) (string, error) { return e.Raw.CacheControl, nil },
			set: setField(func(a *attr.Attr, v string) { a.CacheControl = v })},
		{name: "url", get: signedURL},
		{name: "restore", get: of(func(ossclient.Object) string { return "" }), set: restore,
			ask: func(o ossclient.Object) string { return o.Restore }},
		{name: "refresh", set: refresh},
	}
}

func storageClass(o ossclient.Object) string { return o.StorageClass }

func versionID(o ossclient.Object) string { return o.VersionID }

func crc64Text(o ossclient.Object) string {
	if !o.HasCRC64 {
		return ""
	}
	return strconv.FormatUint(o.CRC64, 10)
}

func contentType(_ *node, e namespace.Entry) (string, error) {
	if e.Raw.ContentType != "" {
		return e.Raw.ContentType, nil
	}
	return e.Object.Metadata.ContentType, nil
}

func signedURL(n *node, e namespace.Entry) (string, error) {
	if e.Version.ETag == "" {
		return "", nil
	}
	return n.m.options.Bucket.SignURL(e.Key, urlLifetime)
}

func setField(field func(*attr.Attr, string)) func(context.Context, *node, string) error {
	return func(ctx context.Context, n *node, value string) error {
		return n.change(ctx, func(a *attr.Attr, _ attr.Attr) error {
			field(a, value)
			return nil
		})
	}
}

// restore asks OSS to make an archived object readable for the given number of days.
func restore(ctx context.Context, n *node, value string) error {
	days, err := strconv.Atoi(value)
	if err != nil || days < 1 {
		return syscall.EINVAL
	}
	return n.m.options.Bucket.Restore(ctx, n.Key(), days)
}

// refresh has the bucket asked again for all that is in the directory. It cannot wait until the kernel has heard of it: the
// kernel keeps the directory locked until this is answered.
func refresh(_ context.Context, n *node, _ string) error {
	if n.typ != attr.TypeDir {
		return syscall.ENOTDIR
	}
	n.use()
	n.m.refresh(n.settledKey())
	return nil
}

// Getxattr reads an extended attribute. Namespaces other than user have none; security's absence is
// ENODATA, since every write of a program may ask for it. Of SELinux, which has its labels of a mount from elsewhere, it is
// EOPNOTSUPP: ls -l then asks once, and not for each file.
func (n *node) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(name, userSpace) {
		if strings.HasPrefix(name, "security.") && name != "security.selinux" {
			return 0, syscall.ENODATA
		}
		return 0, syscall.EOPNOTSUPP
	}
	e, raw, err := n.described(ctx)
	if err != nil {
		return 0, n.m.fail("getxattr", n.Key(), err)
	}
	if short, ok := strings.CutPrefix(name, ossSpace); ok {
		return n.getOSS(ctx, e, short, dest)
	}
	value, ok := raw.Xattr[name]
	if !ok {
		return 0, syscall.ENODATA
	}
	return fill(dest, value)
}

func (n *node) getOSS(ctx context.Context, e namespace.Entry, short string, dest []byte) (uint32, syscall.Errno) {
	for _, x := range ossAttrs() {
		if x.name != short || x.get == nil {
			continue
		}
		value, err := x.get(n, e)
		if err == nil && value == "" && x.ask != nil && e.Version.ETag != "" {
			var o ossclient.Object
			o, err = n.m.tree.Ask(ctx, e)
			value = x.ask(o)
		}
		if err != nil {
			return 0, n.m.fail("getxattr", e.Key, err)
		}
		if value == "" {
			return 0, syscall.ENODATA
		}
		return fill(dest, []byte(value))
	}
	return 0, syscall.ENODATA
}

// described is what is known of the node: its entry, and what is stored with it.
func (n *node) described(ctx context.Context) (namespace.Entry, attr.Attr, error) {
	n.use()
	e, err := n.fresh(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	return e, n.rawLocked(), err
}

// Listxattr lists the names that are kept with the object.
func (n *node) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	_, raw, err := n.described(ctx)
	if err != nil {
		return 0, n.m.fail("listxattr", n.Key(), err)
	}
	var names []string
	for name := range raw.Xattr {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []byte
	for _, name := range names {
		all = append(append(all, name...), 0)
	}
	return fill(dest, all)
}

// Setxattr stores an extended attribute with the object.
func (n *node) Setxattr(ctx context.Context, name string, data []byte, flags uint32) syscall.Errno {
	if !strings.HasPrefix(name, userSpace) {
		return syscall.EOPNOTSUPP
	}
	if short, ok := strings.CutPrefix(name, ossSpace); ok {
		for _, x := range ossAttrs() {
			if x.name == short && x.set != nil {
				return n.m.fail("setxattr", n.Key(), x.set(ctx, n, string(data)))
			}
		}
		return syscall.EPERM
	}
	return n.m.fail("setxattr", n.Key(), n.change(ctx, func(a *attr.Attr, _ attr.Attr) error {
		_, exists := a.Xattr[name]
		switch {
		case exists && flags&unix.XATTR_CREATE != 0:
			return syscall.EEXIST
		case !exists && flags&unix.XATTR_REPLACE != 0:
			return syscall.ENODATA
		}
		if a.Xattr == nil {
			a.Xattr = make(map[string][]byte)
		}
		a.Xattr[name] = slices.Clone(data)
		a.SetCtime(time.Now())
		return fits(a)
	}))
}

// Removexattr removes one.
func (n *node) Removexattr(ctx context.Context, name string) syscall.Errno {
	switch {
	case !strings.HasPrefix(name, userSpace):
		return syscall.EOPNOTSUPP
	case strings.HasPrefix(name, ossSpace):
		return syscall.EPERM
	}
	return n.m.fail("removexattr", n.Key(), n.change(ctx, func(a *attr.Attr, _ attr.Attr) error {
		if _, ok := a.Xattr[name]; !ok {
			return syscall.ENODATA
		}
		delete(a.Xattr, name)
		a.SetCtime(time.Now())
		return nil
	}))
}

// fits says ENOSPC, as ext4 does, when the object could not carry its metadata.
func fits(a *attr.Attr) error {
	size := 0
	for name, value := range a.Metadata().User {
		size += len(metaPrefix) + len(name) + len(value)
	}
	if size > maxMetadata {
		return syscall.ENOSPC
	}
	return nil
}

// fill answers with the value, or with its size when dest is empty.
func fill(dest, value []byte) (uint32, syscall.Errno) {
	size := uint32(len(value))
	if len(dest) == 0 {
		return size, 0
	}
	if len(dest) < len(value) {
		return size, syscall.ERANGE
	}
	copy(dest, value)
	return size, 0
}
