package harness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tree is what a directory looks like: what is said of each relative path, its content included.
type Tree map[string]string

// ReadTree looks at everything below top; of regular files the mode, the size and a checksum.
func ReadTree(top string) (Tree, error) {
	t := make(Tree)
	err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil || rel == "." {
			return err
		}
		t[rel], err = Look(path, false)
		return err
	})
	return t, err
}

// Look describes one path; "" when nothing is there. Direct: the kernel's pages are passed by, and so the mount itself
// is asked.
func Look(path string, direct bool) (string, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	switch {
	case st.Mode().IsRegular():
		p, err := read(path, direct)
		if err == nil && int64(len(p)) != st.Size() {
			err = fmt.Errorf("%s: stat says %d bytes, read gives %d", path, st.Size(), len(p))
		}
		return fmt.Sprintf("%v %d bytes %016x", st.Mode(), len(p), Sum(p)), err
	case st.Mode().Type() == fs.ModeSymlink:
		target, err := os.Readlink(path)
		return "-> " + target, err
	}
	return st.Mode().String(), nil
}

// Differences says how got differs from want, a line for each path.
func (want Tree) Differences(got Tree) []string {
	var list []string
	for path, w := range want {
		if g := got[path]; g != w {
			list = append(list, fmt.Sprintf("%s: got %q, want %q", path, g, w))
		}
	}
	for path, g := range got {
		if _, ok := want[path]; !ok {
			list = append(list, fmt.Sprintf("%s: got %q, want nothing", path, g))
		}
	}
	slices.Sort(list)
	return list
}

// Below is the part of a tree at some paths and below them.
func (t Tree) Below(paths ...string) Tree {
	part := make(Tree)
	for path, s := range t {
		for _, top := range paths {
			if path == top || strings.HasPrefix(path, top+"/") {
				part[path] = s
			}
		}
	}
	return part
}

// read reads a whole file.
func read(path string, direct bool) ([]byte, error) {
	if !direct {
		return os.ReadFile(path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	piece, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // direct I/O wants whole pages
	if err != nil {
		return nil, err
	}
	defer unix.Munmap(piece)
	var p []byte
	for {
		n, err := f.Read(piece)
		p = append(p, piece[:n]...)
		if err == io.EOF {
			return p, nil
		} else if err != nil {
			return p, err
		}
	}
}

// Where says which bytes of two files of one size differ; "" when that cannot be said.
func Where(gotPath, wantPath string) string {
	got, err := os.ReadFile(gotPath)
	want, werr := os.ReadFile(wantPath)
	if err != nil || werr != nil || len(got) != len(want) {
		return ""
	}
	first, last, zeros, count := -1, 0, 0, 0
	for i := range got {
		if got[i] == want[i] {
			continue
		}
		if first < 0 {
			first = i
		}
		if last, count = i, count+1; got[i] == 0 {
			zeros++
		}
	}
	if first < 0 {
		return ""
	}
	return fmt.Sprintf("; %d bytes from %d to %d differ, %d of them are zero", count, first, last, zeros)
}
