package uploads

import (
	"fmt"
	"io"
	"strconv"
	"strings"
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

// Print writes a table for people: age, size, parts, key.
func Print(w io.Writer, list []Upload) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no unfinished uploads")
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%8s  %10s  %6s  %s\n", "AGE", "SIZE", "PARTS", "KEY")
	for _, u := range list {
		key := Name(u.Key)
		if u.Error != "" {
			key += "  (" + strconv.Quote(u.Error) + ")"
		}
		fmt.Fprintf(&b, "%8s  %10s  %6d  %s\n", Age(time.Duration(u.Age)*time.Second), humanize.IBytes(uint64(u.Bytes)), u.Parts, key)
	}
	fmt.Fprintf(&b, "%d uploads, %s\n", len(list), humanize.IBytes(uint64(Total(list))))
	_, err := io.WriteString(w, b.String())
	return err
}

// Name is a key as a terminal may show it: quoted when a character in it would not be seen.
func Name(key string) string {
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` {
		return quoted
	}
	return key
}

func twoUnits(large int, largeUnit string, small int, smallUnit string) string {
	switch {
	case large == 0:
		return fmt.Sprintf("%d%s", small, smallUnit)
	case small == 0:
		return fmt.Sprintf("%d%s", large, largeUnit)
	}
	return fmt.Sprintf("%d%s%d%s", large, largeUnit, small, smallUnit)
}

// Age is a duration in its two largest units: "3d4h", "2h", "40s".
func Age(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case d < 0:
		return "0s"
	case days > 0:
		return twoUnits(days, "d", hours, "h")
	case hours > 0:
		return twoUnits(hours, "h", minutes, "m")
	}
	return twoUnits(minutes, "m", int(d.Seconds())%60, "s")
}
