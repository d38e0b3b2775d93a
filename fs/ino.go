package fs

import (
	"encoding/binary"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/ossfs/ossfs/ossclient"
)

// rootIno is the inode number of the mount's root, whatever prefix it shows.
const rootIno = 1

// table knows the live nodes: by key, so that a lookup finds the node that has the key's open handles
// and dirty state, and by inode number, so that no two of them have the same one.
//
// The number of a key is its hash, the same on every mount. A renamed node keeps the number it had,
// and so may sit on the hash of another key; that key, and one of the rare pairs with the same hash, gets
// the hash of the key with a counter behind it.
type table struct {
	mu         sync.Mutex // guards the fields below; a leaf
	byKey      map[ossclient.Key]*node
	byIno      map[uint64]*node
	generation uint64
	ages       ages      // of all but the root
	met        func(int) // told, with no lock held, how many nodes there are when one more is; nil: nobody is
}

func newTable() *table {
	return &table{byKey: make(map[ossclient.Key]*node), byIno: make(map[uint64]*node)}
}

// get is the live node of key; nil when there is none.
func (t *table) get(key ossclient.Key) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[key]
}

// claim makes n the node of key and gives it a number and a generation; birth, called before anyone
// else can find n, makes its inode. When another live node has the key and is of the same type, claim
// changes nothing and returns that one; one of another type loses the key.
func (t *table) claim(n *node, key ossclient.Key, birth func()) *node {
	winner, count := t.claimed(n, key, birth)
	if winner == n && t.met != nil {
		t.met(count)
	}
	return winner
}

func (t *table) claimed(n *node, key ossclient.Key, birth func()) (winner *node, count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.byKey[key]; old != nil {
		if old.typ == n.typ {
			return old, 0
		}
	}
	n.ino = t.numberLocked(key)
	t.generation++
	n.generation = t.generation
	birth()
	t.byKey[key], t.byIno[n.ino] = n, n
	t.ages.push(n)
	return n, len(t.byIno)
}

// keep puts n back when a FORGET that raced with a lookup of it has taken it out, or a rename its key. False: another node has
// the key.
func (t *table) keep(n *node, key ossclient.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key] == nil {
		t.byKey[key] = n
		t.byIno[n.ino] = n
		if n.ino != rootIno {
			t.ages.push(n)
		}
	}
	return t.byKey[key] == n
}

// restore gives n a key that it had, whoever has it now: that one is returned.
func (t *table) restore(n *node, key ossclient.Key) (other *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	other = t.byKey[key]
	t.byKey[key] = n
	return other
}

// unlink takes the key from n, which stays alive as long as it is open.
func (t *table) unlink(n *node, key ossclient.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key] == n {
		delete(t.byKey, key)
	}
}

// below lists the live nodes at key and, when it is a directory's, below it.
func (t *table) below(key ossclient.Key) []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key != "" && !strings.HasSuffix(string(key), "/") {
		if n := t.byKey[key]; n != nil {
			return []*node{n}
		}
		return nil
	}
	var list []*node
	for k, n := range t.byKey {
		if within(key, k) {
			list = append(list, n)
		}
	}
	return list
}

// all lists every live node, those without a name too.
func (t *table) all() []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*node, 0, len(t.byIno))
	for _, n := range t.byIno {
		list = append(list, n)
	}
	return list
}

// count is the number of live nodes.
func (t *table) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byIno)
}

// forget drops a node that the kernel knows no longer.
func (t *table) forget(n *node, key ossclient.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key] == n {
		delete(t.byKey, key)
	}
	if t.byIno[n.ino] == n {
		delete(t.byIno, n.ino)
		t.ages.drop(n)
	}
}

// oldest gives up to most nodes that were not used since they were looked at last. Who is looked at counts as the youngest.
func (t *table) oldest(most int) []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*node
	for range len(t.byIno) - 1 {
		n := t.ages.oldest
		if n == nil || len(list) == most {
			break
		}
		t.ages.drop(n)
		t.ages.push(n)
		if !n.used.Swap(false) {
			list = append(list, n)
		}
	}
	return list
}

// number is what a lookup of key would show as its inode number now.
func (t *table) number(key ossclient.Key) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.byKey[key]; n != nil {
		return n.ino
	}
	return t.numberLocked(key)
}

func (t *table) numberLocked(key ossclient.Key) uint64 {
	ino := hashKey(key, 0)
	for try := uint64(1); t.byIno[ino] != nil || ino <= rootIno || ino == ^uint64(0); try++ {
		ino = hashKey(key, try)
	}
	return ino
}

func hashKey(key ossclient.Key, try uint64) uint64 {
	if try == 0 {
		return xxhash.Sum64String(string(key))
	}
	return xxhash.Sum64(binary.LittleEndian.AppendUint64([]byte(key), try))
}
