package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Operation is a request of the kernel that was answered.
type Operation struct {
	Name  string        // "lookup", "read", ...
	Errno syscall.Errno // 0: it succeeded
	Took  time.Duration // without the kernel's own copying
}

// observed tells of each request of the kernel when it is answered.
type observed struct {
	fuse.RawFileSystem
	tell func(Operation)
}

// done is deferred by every operation. What is not implemented was answered by nobody: the kernel asks otherwise.
func (o *observed) done(name string, start time.Time, status *fuse.Status) {
	if *status != fuse.ENOSYS {
		o.tell(Operation{name, syscall.Errno(*status), time.Since(start)})
	}
}

func (o *observed) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.done("lookup", time.Now(), &status)
	return o.RawFileSystem.Lookup(cancel, header, name, out)
}

func (o *observed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer o.done("getattr", time.Now(), &status)
	return o.RawFileSystem.GetAttr(cancel, in, out)
}

func (o *observed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer o.done("setattr", time.Now(), &status)
	return o.RawFileSystem.SetAttr(cancel, in, out)
}

func (o *observed) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.done("mknod", time.Now(), &status)
	return o.RawFileSystem.Mknod(cancel, in, name, out)
}

func (o *observed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.done("mkdir", time.Now(), &status)
	return o.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (o *observed) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) (status fuse.Status) {
	defer o.done("unlink", time.Now(), &status)
	return o.RawFileSystem.Unlink(cancel, header, name)
}

func (o *observed) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) (status fuse.Status) {
	defer o.done("rmdir", time.Now(), &status)
	return o.RawFileSystem.Rmdir(cancel, header, name)
}

func (o *observed) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) (status fuse.Status) {
	defer o.done("rename", time.Now(), &status)
	return o.RawFileSystem.Rename(cancel, in, from, to)
}

func (o *observed) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer o.done("symlink", time.Now(), &status)
	return o.RawFileSystem.Symlink(cancel, header, target, name, out)
}

func (o *observed) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) (status fuse.Status) {
	defer o.done("setxattr", time.Now(), &status)
	return o.RawFileSystem.SetXAttr(cancel, in, attr, data)
}

func (o *observed) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) (status fuse.Status) {
	defer o.done("removexattr", time.Now(), &status)
	return o.RawFileSystem.RemoveXAttr(cancel, header, attr)
}

func (o *observed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) (status fuse.Status) {
	defer o.done("create", time.Now(), &status)
	return o.RawFileSystem.Create(cancel, in, name, out)
}

func (o *observed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer o.done("open", time.Now(), &status)
	return o.RawFileSystem.Open(cancel, in, out)
}

func (o *observed) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) (status fuse.Status) {
	defer o.done("lseek", time.Now(), &status)
	return o.RawFileSystem.Lseek(cancel, in, out)
}

func (o *observed) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (status fuse.Status) {
	defer o.done("flush", time.Now(), &status)
	return o.RawFileSystem.Flush(cancel, in)
}

func (o *observed) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer o.done("fsync", time.Now(), &status)
	return o.RawFileSystem.Fsync(cancel, in)
}

func (o *observed) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) (status fuse.Status) {
	defer o.done("fallocate", time.Now(), &status)
	return o.RawFileSystem.Fallocate(cancel, in)
}

func (o *observed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer o.done("opendir", time.Now(), &status)
	return o.RawFileSystem.OpenDir(cancel, in, out)
}

func (o *observed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer o.done("readdir", time.Now(), &status)
	return o.RawFileSystem.ReadDir(cancel, in, out)
}

func (o *observed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer o.done("readdirplus", time.Now(), &status)
	return o.RawFileSystem.ReadDirPlus(cancel, in, out)
}

func (o *observed) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer o.done("fsyncdir", time.Now(), &status)
	return o.RawFileSystem.FsyncDir(cancel, in)
}

func (o *observed) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) (status fuse.Status) {
	defer o.done("statfs", time.Now(), &status)
	return o.RawFileSystem.StatFs(cancel, header, out)
}

func (o *observed) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) (status fuse.Status) {
	defer o.done("statx", time.Now(), &status)
	return o.RawFileSystem.Statx(cancel, in, out)
}

func (o *observed) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (target []byte, status fuse.Status) {
	defer o.done("readlink", time.Now(), &status)
	return o.RawFileSystem.Readlink(cancel, header)
}

func (o *observed) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (size uint32, status fuse.Status) {
	defer o.done("getxattr", time.Now(), &status)
	return o.RawFileSystem.GetXAttr(cancel, header, attr, dest)
}

func (o *observed) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (size uint32, status fuse.Status) {
	defer o.done("listxattr", time.Now(), &status)
	return o.RawFileSystem.ListXAttr(cancel, header, dest)
}

func (o *observed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	defer o.done("read", time.Now(), &status)
	return o.RawFileSystem.Read(cancel, in, buf)
}

func (o *observed) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (written uint32, status fuse.Status) {
	defer o.done("write", time.Now(), &status)
	return o.RawFileSystem.Write(cancel, in, data)
}

func (o *observed) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (written uint32, status fuse.Status) {
	defer o.done("write", time.Now(), &status)
	return o.RawFileSystem.Writev(cancel, in, data)
}

func (o *observed) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (written uint32, status fuse.Status) {
	defer o.done("copy_file_range", time.Now(), &status)
	return o.RawFileSystem.CopyFileRange(cancel, in)
}

// Release has no answer.
func (o *observed) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	status := fuse.OK
	defer o.done("release", time.Now(), &status)
	o.RawFileSystem.Release(cancel, in)
}
