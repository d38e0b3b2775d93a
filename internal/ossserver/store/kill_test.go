package store

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const childDir = "OSSFS_STORE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := putForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// putForEver puts objects and says on standard output which are acknowledged: key and seed.
func putForEver(dir string) error {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := s.Update(func(tx *Tx) error { tx.PutBucket(Bucket{Name: name}); return nil }); err != nil {
		return err
	}
	sizes := []int{10, 5000, packLimit + 1, 3 * packLimit}
	for i := 1; ; i++ {
		key := "k" + strconv.Itoa(i%50)
		if err := put(s, key, random(uint64(i), sizes[i%len(sizes)])); err != nil {
			return err
		}
		fmt.Println(key, i)
	}
}

// TestKilledProcessLosesNothingAcknowledged kills a process that puts objects, again and again in one directory.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 4 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := map[string]int{}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			key, seed, _ := strings.Cut(lines.Text(), " ")
			if last[key], err = strconv.Atoi(seed); err != nil {
				t.Fatal(err)
			}
			if n == 60+37*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		checkKilled(t, dir, last)
	}
}

func checkKilled(t *testing.T, dir string, last map[string]int) {
	t.Helper()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sizes := []int{10, 5000, packLimit + 1, 3 * packLimit}
	for key, seed := range last {
		_, p, err := get(s, key)
		if err != nil {
			t.Errorf("%s was acknowledged and is gone: %v", key, err)
			continue
		}
		// One more put of this key may have been done and not told: 50 numbers on.
		if !bytes.Equal(p, random(uint64(seed), sizes[seed%4])) && !bytes.Equal(p, random(uint64(seed+50), sizes[(seed+50)%4])) {
			t.Errorf("%s has %d bytes that are not those acknowledged last (%d)", key, len(p), seed)
		}
	}
}
