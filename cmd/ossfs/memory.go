package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	memoryShare = 4       // a quarter
	memoryMost  = 2 << 30 // bytes
	memoryLeast = 64 << 20
)

// defaultMemory is a quarter of the memory that this process may use, at most 2 GiB.
func defaultMemory() int64 {
	return min(max(usableMemory()/memoryShare, memoryLeast), memoryMost)
}

// usableMemory is the machine's RAM, or the limit of the control group when it is lower, in bytes.
func usableMemory() int64 {
	total := int64(memoryMost)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	if limit := groupLimit(); limit > 0 {
		total = min(total, limit)
	}
	return total
}

// residentMemory is what this process has of the machine's RAM, in bytes (proc_pid_statm(5)); 0: not known.
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// groupLimit is the control group's memory.max (version 2), 0 when there is none.
func groupLimit() int64 {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for entry := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(entry), "0::")
		if !ok {
			continue
		}
		text, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.max")
		if err != nil {
			return 0
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil { // "max"
			return 0
		}
		return limit
	}
	return 0
}
