package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver"
)

// sow adds what a seed describes, each object with content of its own.
func sow(s *ossserver.Server, d seed) error {
	number := uint64(0)
	for i := range max(d.Dirs, 1) {
		dir := ""
		if d.Dir != "" {
			dir = d.Dir
			if strings.Contains(dir, "%") {
				dir = fmt.Sprintf(dir, i)
			}
			if !d.Prefix {
				if err := s.Put(bucketName, dir, nil, stored(d.Meta, "16877")); err != nil {
					return err
				}
			}
		}
		for j := range d.Files {
			number++
			key := dir + fmt.Sprintf(d.File, j)
			if err := s.PutSynthetic(bucketName, key, d.Size, number, stored(d.Meta, "33188")); err != nil {
				return err
			}
			if d.Size >= 1<<20 {
				s.Object(bucketName, key) // has its checksum computed now, and not during a measurement
			}
		}
	}
	return nil
}

// stored is the headers that ossfs keeps a file's attributes in.
func stored(meta bool, mode string) http.Header {
	h := http.Header{}
	if meta {
		h.Set("x-oss-meta-mode", mode)
		h.Set("x-oss-meta-uid", "0")
		h.Set("x-oss-meta-gid", "0")
		h.Set("x-oss-meta-mtime", "1700000000.5")
	}
	return h
}
