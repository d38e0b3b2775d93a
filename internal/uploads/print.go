package uploads

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// Total is the size of all uploads, in bytes.
func Total(list []Upload) (bytes int64) {
	for _, u := range list {
		bytes += u.Bytes
	}
	return bytes
}

// Print writes a table for people, oldest information first: age, size, parts, key.
func Print(w io.Writer, list []Upload) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no unfinished uploads")
		return
	}
	fmt.Fprintf(w, "%8s  %10s  %6s  %s\n", "AGE", "SIZE", "PARTS", "KEY")
	for _, u := range list {
		key := Name(u.Key)
		if u.Error != "" {
			key += "  (" + strconv.Quote(u.Error) + ")"
		}
		fmt.Fprintf(w, "%8s  %10s  %6d  %s\n", age(time.Duration(u.Age)*time.Second), humanize.IBytes(uint64(u.Bytes)), u.Parts, key)
	}
	fmt.Fprintf(w, "%d uploads, %s\n", len(list), humanize.IBytes(uint64(Total(list))))
}

// Name is a key as a terminal may show it: quoted when a character in it would not be seen.
func Name(key string) string {
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` {
		return quoted
	}
	return key
}

// age is a duration in its two largest units.
func age(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case d < 0:
		return "0s"
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}
