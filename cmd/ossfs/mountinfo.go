package main

import (
	"os"
	"strconv"
	"strings"
)

// mountInfo is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mountInfo struct {
	device string // MAJOR:MINOR
	path   string
	fsType string
	source string
}

// mountAt is what is mounted at a path, the topmost; nil when it is no mountpoint.
func mountAt(path string) (*mountInfo, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	var found *mountInfo
	for i := range all {
		if all[i].path == path {
			found = &all[i]
		}
	}
	return found, nil
}

func mounts() ([]mountInfo, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, failf("the table of mounts: %w: is /proc mounted?", reason(err))
	}
	var all []mountInfo
	for entry := range strings.Lines(string(text)) {
		if m, ok := parseMountInfo(entry); ok {
			all = append(all, m)
		}
	}
	return all, nil
}

func parseMountInfo(entry string) (mountInfo, bool) {
	left, right, ok := strings.Cut(strings.TrimSuffix(entry, "\n"), " - ")
	before, after := strings.Fields(left), strings.Fields(right)
	if !ok || len(before) < 6 || len(after) < 2 {
		return mountInfo{}, false
	}
	return mountInfo{
		device: before[2],
		path:   unescapeMount(before[4]),
		fsType: after[0],
		source: unescapeMount(after[1]),
	}, true
}

// unescapeMount turns \040 and its like back into the byte.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
