// Command bench measures a mount of ossfs: the built program, in a process of its own, before a
// server in another process that adds latency to each request and caps each connection's bandwidth.
//
//	go run ./tests/bench                 every row
//	go run ./tests/bench --only 'read/'  the rows whose names match
//	go run ./tests/bench --json out.json --svg docs/bench
//
// Requests are counted by the server and exact. Times depend on the machine: where a target is a
// time, the figure stands beside one of something simpler run in the same minute (a bare HTTP client,
// the local disk). CPU seconds and peak memory are those of the mount's process alone, from /proc.
package main
