package writeback

import (
	"fmt"
	"testing"

	"github.com/ossfs/ossfs/writeback/disk"
)

// BenchmarkDurable makes new files of 16 KiB durable: one by one with their directory, or with the whole
// filesystem. The figures in DESIGN.md are from it.
func BenchmarkDurable(b *testing.B) {
	for _, n := range []int{1, 8, 64, 512} {
		for _, all := range []bool{false, true} {
			b.Run(fmt.Sprintf("files=%d/syncfs=%v", n, all), func(b *testing.B) { benchDurable(b, n, all) })
		}
	}
}

func benchDurable(b *testing.B, n int, all bool) {
	d := must(disk.OS(b.TempDir()))(b)
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	data := []byte(noise(16<<10, 1))
	next := 0
	for b.Loop() {
		b.StopTimer()
		dir := fmt.Sprint("d", next)
		next++
		check(d.MkdirAll(dir))
		files := make([]disk.File, n)
		for i := range files {
			files[i] = must(d.Create(fmt.Sprint(dir, "/", i)))(b)
			_, err := files[i].WriteAt(data, 0)
			check(err)
		}
		b.StartTimer()
		if all {
			check(d.SyncAll())
		} else {
			for _, f := range files {
				check(f.Sync())
			}
			check(d.SyncDir(dir))
		}
		b.StopTimer()
		for _, f := range files {
			check(f.Close())
		}
		b.StartTimer()
	}
}
