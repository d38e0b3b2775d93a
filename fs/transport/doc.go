// Package transport carries the kernel's requests to go-fuse and the answers back.
//
// go-fuse's own Server sleeps in read(2) before each request, and hands the next one to another thread. Each sleep costs
// two wake-ups of a processor, several times what most requests take to be answered, above all in a virtual machine. The
// programs that matter here (tar, rsync, cp) send one request after the other. So a thread stays awake for a moment after
// it has answered, and answers itself what needs no waiting: half the time of a round trip, by measurement. When requests
// do not come so soon it sleeps, and when one takes long another thread reads on.
//
// What a request means is go-fuse's business (fuse.ProtocolServer), as are mounting, the first request (INIT) and what the
// kernel is told unasked (fuse.Server).
package transport
