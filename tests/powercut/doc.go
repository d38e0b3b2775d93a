// Command powercut cuts the power of a virtual machine while programs in it write into a mount, again and again, and compares
// with what they were told.
//
// The machine (qemu, with a kernel of Debian and nothing else than busybox, ossfs and this program) has its state directory
// on a disk that this process serves: what the guest has not flushed is volatile, and of it a cut leaves any part. The bucket
// is on this side, and so it is known at any time. What the guest's programs are told (a close, an fsync) they say on the
// console before they go on. After a cut the machine is started again on what is left of the disk, everything in the mount
// is read, what is staged is sent, and the bucket must have each file as docs/SEMANTICS.md, 1.2 and 1.3, says: of one
// version, whole, and not older than what was promised.
//
//	apt-get install qemu-system-x86 busybox-static xfsprogs
//	apt-get download linux-image-6.1.0-50-amd64 && dpkg-deb -x linux-image-*.deb /tmp/linux && depmod -b /tmp/linux 6.1.0-50-amd64
//	CGO_ENABLED=0 go build -o /tmp/ossfs ./cmd/ossfs && CGO_ENABLED=0 go build -o /tmp/powercut ./tests/powercut
//	mkdir /tmp/cuts && /tmp/powercut -kernel /tmp/linux/boot/vmlinuz-* -modules /tmp/linux/lib/modules/* -ossfs /tmp/ossfs -dir /tmp/cuts -cuts 20
//
// The processor is emulated: a cut takes about a minute. Without -kernel and -modules there is no machine but a namespace of this
// one, and the disk is a loop device of it (root only; needs qemu-storage-daemon): a cut takes about ten seconds, and several can
// run at once, each with a folder of its own.
//
// Programs make, edit, append to, cut, replace and remove files, of which the bucket has half from the beginning; they rest in the
// middle, and several changes are made between an open and its close. The mount's flags, how long the kernel keeps what is dirty
// and how far the bucket is away differ from cut to cut. The power goes when some writes of the disk are not flushed, or directly
// before or after a flush: what the disk has changes then.
//
// The consoles are kept in the folder, and the disk as a cut left it when a promise was broken; a seed decides what is done, but
// not how fast, so that the same seed does not always find the same. On a machine that is too slow for a group each second a
// file may be found as it was longer ago than is promised: the message says how long.
package main
