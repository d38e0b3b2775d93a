package writeback

import "github.com/ossfs/ossfs/ossclient"

// Supplanted takes the key from a File that the bucket has had whole, when somebody else has put another version there since: by, as the bucket
// said after that was confirmed. The users of the File go on with it, as with one that was removed. False: something of it is to be sent yet, or by is what the
// bucket has of it.
func (f *File) Supplanted(by ossclient.Version) bool {
	s := f.s
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	_, pending := s.v.tree.Get(f.key) // what is written to has a state: soilLocked
	other := !f.detached && f.key == by.Key && f.confirmed != nil && f.confirmed.ETag != by.ETag
	s.mu.RUnlock()
	if !other || pending {
		return false
	}
	s.detach(f.key)
	return true
}
