package fs

// ages is a list of nodes in the order in which they were added. A node is in one list at most.
type ages struct{ oldest, youngest *node }

// age is a node's place in the list.
type age struct {
	older, younger *node
	listed         bool
}

// push adds a node as the youngest; one that is in the list stays where it is.
func (l *ages) push(n *node) {
	if n.age.listed {
		return
	}
	n.age = age{older: l.youngest, listed: true}
	if l.youngest == nil {
		l.oldest = n
	} else {
		l.youngest.age.younger = n
	}
	l.youngest = n
}

// drop takes a node out; one that is not in the list is none of its business.
func (l *ages) drop(n *node) {
	a := n.age
	if !a.listed {
		return
	}
	if a.older == nil {
		l.oldest = a.younger
	} else {
		a.older.age.younger = a.younger
	}
	if a.younger == nil {
		l.youngest = a.older
	} else {
		a.younger.age.older = a.older
	}
	n.age = age{}
}
