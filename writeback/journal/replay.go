package journal

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"github.com/ossfs/ossfs/writeback/disk"
)

// Report is what Open found.
type Report struct {
	Records  int   // applied
	Rebooted bool  // the machine was started anew since the last record: what follows the marker is not to be trusted
	Torn     int64 // bytes at the end of a segment that are no record: what a crash interrupted
	Damaged  int64 // bytes in the middle that are no record: the disk failed. Records after them were applied
	Gaps     int   // places where records are missing
	Files    int
}

// Reader is told what a journal says, in order.
type Reader interface {
	// Record is one record; payload is only valid during the call. durable says that a marker follows it:
	// it, and what it speaks of, was on the disk. An error means that the record is not understood: Open
	// goes on and counts its bytes as damaged.
	Record(seq uint64, payload []byte, durable bool) error
}

// Open reads the journal in a directory, which is made if need be, tells it to r, and starts a new
// segment to append to.
func Open(fs disk.FS, dir string, r Reader) (*Log, Report, error) {
	l := &Log{fs: fs, dir: dir, boot: fs.Boot()}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, Report{}, err
	}
	files, err := l.find()
	if err != nil {
		return nil, Report{}, err
	}
	rd := replay{log: l, r: r}
	var last uint64
	for _, f := range files {
		if err := rd.file(f); err != nil {
			return nil, rd.report, fmt.Errorf("journal: %s: %w", f.name, err)
		}
		l.settle(f)
		l.older = append(l.older, f.name)
		last = max(last, f.number)
	}
	rd.flush(l.seq, false)
	l.ahead = l.seq
	rd.report.Files = len(files)
	rd.report.Rebooted = len(files) > 0 && (rd.boot != l.boot || l.boot == "")
	if err := l.startSegmentLocked(last + 1); err != nil {
		return nil, rd.report, err
	}
	if err := fs.SyncDir(dir); err != nil {
		return nil, rd.report, errors.Join(err, l.f.Close())
	}
	return l, rd.report, nil
}

// settle makes a segment durable that a process which was killed has left: whoever syncs later looks at the new one alone.
func (l *Log) settle(jf journalFile) {
	if jf.snap {
		return // it has its name because it is
	}
	f, err := l.fs.Open(jf.name)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	l.doubt = l.doubt || err != nil
}

type journalFile struct {
	name   string
	number uint64
	snap   bool
}

// find lists the files to be read: the newest snapshot and the segments from its number on. What it
// makes superfluous is removed, half-written snapshots too.
func (l *Log) find() ([]journalFile, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, err
	}
	var files []journalFile
	newest := uint64(0)
	var remove []string
	for _, name := range names {
		full := path.Join(l.dir, name)
		if n, ok := fileNumber(logPrefix, name); ok {
			files = append(files, journalFile{full, n, false})
		} else if n, ok := fileNumber(snapPrefix, name); ok {
			files = append(files, journalFile{full, n, true})
			newest = max(newest, n)
		} else if _, ok := fileNumber(tempPrefix, name); ok {
			remove = append(remove, full)
		}
	}
	files = slices.DeleteFunc(files, func(f journalFile) bool {
		if f.number < newest {
			remove = append(remove, f.name)
		}
		return f.number < newest
	})
	for _, name := range remove {
		if err := l.fs.Remove(name); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b journalFile) int {
		switch {
		case a.number != b.number && a.number < b.number, a.number == b.number && a.snap:
			return -1
		}
		return 1
	})
	return files, nil
}

type replay struct {
	log    *Log
	r      Reader
	report Report
	boot   string // of the last file that says something
	header string // of the file being read
	began  bool
	tail   []frame // records that no marker has followed yet
}

// flush tells the records up to seq.
func (rd *replay) flush(seq uint64, durable bool) {
	n := 0
	for n < len(rd.tail) && rd.tail[n].seq <= seq {
		if err := rd.r.Record(rd.tail[n].seq, rd.tail[n].payload, durable); err != nil {
			rd.report.Damaged += int64(len(rd.tail[n].payload))
		} else {
			rd.report.Records++
		}
		n++
	}
	rd.tail = rd.tail[n:]
	if durable {
		rd.log.synced = max(rd.log.synced, seq)
	}
}

func (rd *replay) file(jf journalFile) error {
	b, err := readAll(rd.log.fs, jf.name)
	if err != nil {
		return err
	}
	l := rd.log
	ended := !jf.snap
	damaged, torn, err := frames(b, func(f frame) error {
		switch f.kind {
		case kindHeader:
			rd.header = string(f.payload)
			if jf.snap {
				rd.boot = rd.header
			}
			if rd.began && f.seq > l.seq {
				rd.report.Gaps++
			}
			l.seq = max(l.seq, f.seq)
			rd.began = true
		case kindRecord:
			rd.boot = rd.header
			rd.record(f, jf.snap)
		case kindMarker:
			rd.boot = rd.header
			upto, err := strconv.ParseUint(string(f.payload), 10, 64)
			if err == nil { // it has a checksum: it is what we wrote
				rd.flush(upto, true)
			}
		case kindEnd:
			ended = true
		}
		return nil
	})
	rd.report.Damaged += damaged
	rd.report.Torn += torn
	if !ended {
		rd.report.Gaps++
	}
	if jf.snap {
		l.snap = int64(len(b))
	} else {
		l.since += int64(len(b))
	}
	return err
}

func (rd *replay) record(f frame, snap bool) {
	l := rd.log
	if !snap {
		if rd.began && f.seq != l.seq+1 {
			if f.seq <= l.seq {
				return // cannot be: a record is written once
			}
			rd.report.Gaps++
		}
		l.seq, rd.began = f.seq, true
	}
	rd.tail = append(rd.tail, f)
	if snap { // it was made durable before it got its name
		rd.flush(f.seq, true)
	}
}

func readAll(fs disk.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// What a killed process left in the page cache is made durable now: a marker of the new segment
	// speaks for it too.
	if err := f.Sync(); err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil { // gives back what it kept for a full disk
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}
