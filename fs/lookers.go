package fs

import "sync"

const (
	// looksEnough is how many files of one directory a program has looked at before it is taken for one that looks at all.
	looksEnough = 2
	// lookersKept bounds the programs remembered.
	lookersKept = 256
)

// lookers are the programs that look at the files of the directories which they read, as ls -l does, and find does not.
type lookers struct {
	mu   sync.Mutex // guards the field below; a leaf
	seen map[uint32]looker
}

// looker is a program, by the number that the kernel gives for who asks.
type looker struct {
	dir uint64 // the inode number of the directory it looked into last
	n   int    // how many files there
}

// looked notes that pid has looked up a file in dir.
func (l *lookers) looked(pid uint32, dir uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.seen[pid]
	switch {
	case was.n >= looksEnough:
		return
	case was.dir != dir: // the first directory, too: no inode has the number 0
		was = looker{dir: dir}
	}
	was.n++
	if l.seen == nil || len(l.seen) >= lookersKept {
		l.seen = make(map[uint32]looker)
	}
	l.seen[pid] = was
}

// looks says whether pid is likely to want the attributes of what it lists.
func (l *lookers) looks(pid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[pid].n >= looksEnough
}
