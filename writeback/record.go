package writeback

import (
	"github.com/ossfs/ossfs/ossclient"
)

// A record of the journal is a list of ops, which take effect together or not at all.
type opCode byte

const (
	opSet      opCode = iota + 1 // entry: the state of its key
	opDel                        // key: the bucket has it, or there is nothing to be had
	opUpload                     // stage, upload: a multipart upload has begun
	opPart                       // stage, part: a part of it was sent; of no bytes: it must be sent again
	opUploaded                   // stage: the upload was completed or given up
	opMove                       // move: a rename of what the bucket has has begun, or follows another
	opMoved                      // move's id: it is done, or given up
	opStages                     // stage: numbers up to it were used
	opIntend                     // intent: a multipart upload is about to be begun
	opIntended                   // intent's id: it was, and is known, or was not
	opClosed                     // the Store was closed: its user knows of all that was confirmed before
	opBytes                      // stage, bytes: small content
	opNoBytes                    // stage: it is no more, or in the staged file
	opTried                      // stage, tried: its upload may be completed from now on, as one of these states
	opStored                     // key, seq: the bucket has got that state; it holds though the rest of its record be passed over
	opTorn                       // stage: bytes of a state are overwritten that no entry speaks of any more, but may after a loss of power
)

type op struct {
	code   opCode
	entry  *entry
	key    Key
	stage  uint64
	upload *upload
	part   sentPart
	move   *move
	intent *intent
	tried  *trial
	bytes  string
	seq    uint64
	moved  bool // not journaled: the staged file of the state that goes belongs to another key now
}

// sentPart is a part of a multipart upload that OSS has.
type sentPart struct {
	ossclient.Part
	off     int64 // of its first byte in the file
	punched bool  // the staged file does not have it any more
}

// upload is a multipart upload that has begun.
type upload struct {
	key   Key
	id    ossclient.UploadID
	attr  string // packAttr of what it was begun with
	begun int64  // nanoseconds since 1970
	base  ossclient.ETag
	parts map[int]sentPart
	tried *trial // states that it may have been completed as without our knowing, the last first

	distrusted bool // its parts were sent again, those that could be; not journaled
	named      bool // a loss of power leaves its name in the journal; not journaled itself
}

func encodeOps(ops []op) []byte {
	e := encoder{make([]byte, 0, 256)}
	for i := range ops {
		o := &ops[i]
		e.byte(byte(o.code))
		switch o.code {
		case opSet:
			e.entry(o.entry)
		case opDel:
			e.string(string(o.key))
		case opUpload:
			e.uint(o.stage)
			e.string(string(o.upload.key))
			e.string(string(o.upload.id))
			e.string(o.upload.attr)
			e.int(o.upload.begun)
			e.string(string(o.upload.base))
		case opPart:
			e.uint(o.stage)
			e.part(&o.part)
		case opBytes:
			e.uint(o.stage)
			e.string(o.bytes)
		case opUploaded, opStages, opNoBytes, opTorn:
			e.uint(o.stage)
		case opMove:
			e.move(o.move)
		case opMoved:
			e.uint(o.move.id)
		case opIntend:
			e.uint(o.intent.id)
			e.string(string(o.intent.key))
			e.int(o.intent.when)
		case opIntended:
			e.uint(o.intent.id)
		case opTried:
			e.uint(o.stage)
			e.trials(o.tried)
		case opStored:
			e.string(string(o.key))
			e.uint(o.seq)
		case opClosed:
		}
	}
	return e.buf
}

func decodeOps(payload []byte) ([]op, error) {
	d := decoder{buf: payload}
	var ops []op
	for len(d.buf) > 0 {
		o := op{code: opCode(d.byte())}
		switch o.code {
		case opSet:
			o.entry = d.entry()
		case opDel:
			o.key = Key(d.string())
		case opUpload:
			o.stage = d.uint()
			o.upload = &upload{key: Key(d.string()), id: ossclient.UploadID(d.string()), attr: d.string(), begun: d.int(),
				base: ossclient.ETag(d.string()), parts: make(map[int]sentPart)}
		case opPart:
			o.stage = d.uint()
			o.part = d.part()
		case opBytes:
			o.stage, o.bytes = d.uint(), d.string()
		case opUploaded, opStages, opNoBytes, opTorn:
			o.stage = d.uint()
		case opMove:
			o.move = d.move()
		case opMoved:
			o.move = &move{id: d.uint()}
		case opIntend:
			o.intent = &intent{id: d.uint(), key: Key(d.string()), when: d.int()}
		case opIntended:
			o.intent = &intent{id: d.uint()}
		case opTried:
			o.stage, o.tried = d.uint(), d.trials()
		case opStored:
			o.key, o.seq = Key(d.string()), d.uint()
		case opClosed:
		default:
			d.fail()
		}
		if d.bad {
			return nil, errCodec
		}
		ops = append(ops, o)
	}
	return ops, nil
}

func (e *encoder) part(p *sentPart) {
	e.uint(uint64(p.Number))
	e.string(string(p.ETag))
	e.uint(uint64(p.Size))
	e.uint(uint64(p.off))
	var bits byte
	if p.HasCRC64 {
		bits |= 1
	}
	if p.punched {
		bits |= 2
	}
	e.byte(bits)
	if p.HasCRC64 {
		e.uint(p.CRC64)
	}
}

func (d *decoder) part() sentPart {
	var p sentPart
	p.Number, p.ETag, p.Size, p.off = int(d.uint()), ossclient.ETag(d.string()), int64(d.uint()), int64(d.uint())
	bits := d.byte()
	p.punched = bits&2 != 0
	if bits&1 != 0 {
		p.CRC64, p.HasCRC64 = d.uint(), true
	}
	return p
}

// view is what the records of a journal come to.
type view struct {
	tree    tree
	uploads map[uint64]*upload // by the number of the staged file
	moves   map[uint64]*move
	intents map[uint64]*intent
	small   map[uint64]string // small content, by the number of the staged file it has not
	seq     uint64            // the highest of any state
	stage   uint64            // the highest number of a staged file
	move    uint64            // the highest of any move
	intent  uint64            // the highest of any intent

	smallBytes int64 // of all of small
}

func newView() view {
	return view{uploads: make(map[uint64]*upload), moves: make(map[uint64]*move), intents: make(map[uint64]*intent), small: make(map[uint64]string)}
}

// apply makes an op take effect. It is the one place where the map changes, live and in replay.
func (v *view) apply(o *op) {
	switch o.code {
	case opSet:
		v.tree.Set(o.entry.key, o.entry)
		v.seq = max(v.seq, o.entry.seq)
		v.stage = max(v.stage, o.entry.stage)
	case opDel:
		v.tree.Delete(o.key)
	case opUpload:
		v.uploads[o.stage] = o.upload
		v.stage = max(v.stage, o.stage)
	case opPart:
		if u := v.uploads[o.stage]; u != nil && o.part.Size == 0 { // written to again
			delete(u.parts, o.part.Number)
		} else if u != nil {
			u.parts[o.part.Number] = o.part
		}
	case opTried:
		if u := v.uploads[o.stage]; u != nil {
			u.tried = o.tried
		}
	case opUploaded:
		delete(v.uploads, o.stage)
	case opMove:
		v.moves[o.move.id] = o.move
		v.move = max(v.move, o.move.last())
	case opMoved:
		delete(v.moves, o.move.id)
	case opStages:
		v.stage = max(v.stage, o.stage)
	case opIntend:
		v.intents[o.intent.id] = o.intent
		v.intent = max(v.intent, o.intent.id)
	case opIntended:
		delete(v.intents, o.intent.id)
	case opBytes:
		v.smallBytes += int64(len(o.bytes)) - int64(len(v.small[o.stage]))
		v.small[o.stage] = o.bytes
		v.stage = max(v.stage, o.stage)
	case opNoBytes:
		v.smallBytes -= int64(len(v.small[o.stage]))
		delete(v.small, o.stage)
	}
}

// freeze returns what emits the records of a snapshot: of the view as it is now. The tree is copied on
// write.
func (v *view) freeze() func(emit func([]byte) error) error {
	tree := v.tree.Copy()
	counters := op{code: opStages, stage: v.stage}
	var rest []op
	for stage, u := range v.uploads {
		rest = append(rest, op{code: opUpload, stage: stage, upload: u})
		for _, p := range u.parts {
			rest = append(rest, op{code: opPart, stage: stage, part: p})
		}
		if u.tried != nil {
			rest = append(rest, op{code: opTried, stage: stage, tried: u.tried})
		}
	}
	for _, m := range v.moves {
		rest = append(rest, op{code: opMove, move: m})
	}
	for _, in := range v.intents {
		rest = append(rest, op{code: opIntend, intent: in})
	}
	for stage, b := range v.small {
		rest = append(rest, op{code: opBytes, stage: stage, bytes: b})
	}
	return func(emit func([]byte) error) error {
		const batch = 64
		if err := emit(encodeOps([]op{counters})); err != nil {
			return err
		}
		var ops []op
		var err error
		tree.Scan(func(_ Key, e *entry) bool {
			if ops = append(ops, op{code: opSet, entry: e}); len(ops) == batch {
				err = emit(encodeOps(ops))
				ops = ops[:0]
			}
			return err == nil
		})
		for _, o := range rest {
			if ops = append(ops, o); len(ops) >= batch && err == nil {
				err = emit(encodeOps(ops))
				ops = ops[:0]
			}
		}
		if err == nil && len(ops) > 0 {
			err = emit(encodeOps(ops))
		}
		return err
	}
}
