package namespace

import (
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/ossclient"
)

type Kind uint8

const (
	Content Kind = iota + 1
	Attributes
	Absent
)

type State struct {
	Key    ossclient.Key
	Kind   Kind
	Attr   attr.Attr
	Size   int64
	Target string
	Base   ossclient.Version
	Seq    uint64
	Open   bool
}

type Item struct {
	Name  ossclient.Key
	Dir   bool
	State State
}

type Confirmation struct {
	Key     ossclient.Key
	Deleted bool
	Object  ossclient.Object
	Exact   bool
	Attr    attr.Attr
	Target  string
}
