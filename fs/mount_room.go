package fs

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// meminfo is where the kernel says how its memory is used (proc_meminfo(5)).
const meminfo = "/proc/meminfo"

// pageCacheRoom is how many bytes the kernel's page cache can be trusted with: half of what the machine could
// still give to it. 0: not known.
func pageCacheRoom() int64 {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0
	}
	defer f.Close() // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10 / 2
		}
	}
	return 0
}
