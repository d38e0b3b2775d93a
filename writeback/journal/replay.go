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
	Torn     int64 // bytes at the end that are no record, or follow such in what a loss of power left unsynced
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
		l.older = append(l.older, f.name)
		last = max(last, f.number)
	}
	l.ahead = l.seq
	rd.report.Files = len(files)
	rd.report.Rebooted = len(files) > 0 && (rd.boot != l.boot || l.boot == "")
	rd.end()
	if err := l.startSegmentLocked(last + 1); err != nil {
		return nil, rd.report, err
	}
	if err := fs.SyncDir(dir); err != nil {
		return nil, rd.report, errors.Join(err, l.f.Close())
	}
	return l, rd.report, nil
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
	log     *Log
	r       Reader
	report  Report
	boot    string // of the last file that says something
	header  string // of the file being read
	told    uint64 // the last record that was told, or is said by what was told
	began   bool
	tail    []frame // records that no marker has followed yet
	skipped int64   // bytes since the last marker that are no frame, and are followed by one
	passed  bool    // a marker was passed over since the last that was believed
}

// early says that a marker came to the disk before a record that it speaks for: the power failed before its own sync was done, and
// it speaks for nothing. When another follows it was synced, and what is missing was lost since.
func (rd *replay) early(upto uint64) bool {
	whole := rd.told
	for _, f := range rd.tail {
		if f.seq != whole+1 || f.seq > upto {
			break
		}
		whole = f.seq
	}
	rd.passed = whole < upto && !rd.passed
	return rd.passed
}

// flush tells the records up to seq.
func (rd *replay) flush(seq uint64, durable bool) {
	n := 0
	for n < len(rd.tail) && rd.tail[n].seq <= seq {
		f := rd.tail[n]
		if f.seq > rd.told+1 {
			rd.report.Gaps++
		}
		rd.told = f.seq
		if err := rd.r.Record(f.seq, f.payload, durable); err != nil {
			rd.report.Damaged += int64(len(f.payload))
		} else {
			rd.report.Records++
		}
		n++
	}
	rd.tail = rd.tail[n:]
	if durable {
		rd.log.synced = max(rd.log.synced, seq)
		rd.report.Damaged, rd.skipped = rd.report.Damaged+rd.skipped, 0
	}
}

// end tells the records that no marker follows. After a loss of power those behind a gap count for nothing: pages reach the
// disk in any order, and what they build on is gone.
func (rd *replay) end() {
	if !rd.report.Rebooted {
		rd.flush(rd.log.seq, false)
		rd.report.Damaged += rd.skipped
		return
	}
	whole := rd.told
	for i, f := range rd.tail {
		if f.seq != whole+1 {
			for _, f := range rd.tail[i:] {
				rd.report.Torn += int64(frameHead + len(f.payload))
			}
			break
		}
		whole = f.seq
	}
	rd.flush(whole, false)
	rd.report.Torn += rd.skipped
}

func (rd *replay) file(jf journalFile) error {
	b, err := readAll(rd.log.fs, jf.name)
	if err != nil {
		return err
	}
	l := rd.log
	ended := !jf.snap
	rd.report.Torn += frames(b, func(f frame, skipped int64) {
		rd.skipped += skipped
		switch f.kind {
		case kindHeader:
			rd.header = string(f.payload)
			if jf.snap {
				rd.boot = rd.header
			}
			if !rd.began {
				rd.told = f.seq
			}
			l.seq, rd.began = max(l.seq, f.seq), true
		case kindRecord:
			rd.boot = rd.header
			rd.record(f, jf.snap)
		case kindMarker:
			rd.boot = rd.header
			upto, err := strconv.ParseUint(string(f.payload), 10, 64)
			if err == nil && !rd.early(upto) { // it has a checksum: it is what we wrote
				rd.flush(upto, true)
			}
		case kindEnd:
			ended = true
		}
	})
	if !ended {
		rd.report.Gaps++
	}
	if jf.snap {
		l.snap = int64(len(b))
		rd.report.Damaged, rd.skipped = rd.report.Damaged+rd.skipped, 0
	} else {
		l.since += int64(len(b))
	}
	return nil
}

func (rd *replay) record(f frame, snap bool) {
	l := rd.log
	switch {
	case snap: // it was made durable before it got its name
		rd.tail = append(rd.tail, f)
		rd.flush(f.seq, true)
		return
	case !rd.began:
		rd.told = f.seq - 1
	case f.seq <= l.seq:
		return // cannot be: a record is written once
	}
	l.seq, rd.began = f.seq, true
	rd.tail = append(rd.tail, f)
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
