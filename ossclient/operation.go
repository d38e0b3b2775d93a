package ossclient

import (
	"net/http"
	"time"
)

// operation is a kind of request: an index of operations.
type operation uint8

const (
	opHead operation = iota
	opGet
	opPut
	opCopy
	opDelete
	opDeleteMany
	opList
	opInitiate
	opUploadPart
	opCopyPart
	opComplete
	opAbort
	opListParts
	opListUploads
	opAppend
	opPutSymlink
	opGetSymlink
	opRestore
	opInfo
	opLocation
	opSignURL // sends nothing
)

// slot groups the operations whose latencies are alike.
type slot uint8

const (
	slotNone slot = iota
	slotHead
	slotGet
	slotList
	slots
)

// How long an answer may take, from the last byte sent to the answer's headers: OSS answers most requests
// in milliseconds; those that move much data inside the service, or wait for it to be stored, get longer.
const (
	quickAnswer = 20 * time.Second
	storeAnswer = 60 * time.Second
	slowAnswer  = 5 * time.Minute
)

// operations is what is true of every request of one kind. The fault matrix of the tests has a row for each.
var operations = [...]struct {
	name     string // the API's
	method   string
	deadline time.Duration // for the answer
	slot     slot          // whose answers may be raced by a second request
}{
	opHead:        {"HeadObject", http.MethodHead, quickAnswer, slotHead},
	opGet:         {"GetObject", http.MethodGet, quickAnswer, slotGet},
	opPut:         {"PutObject", http.MethodPut, storeAnswer, slotNone},
	opCopy:        {"CopyObject", http.MethodPut, slowAnswer, slotNone},
	opDelete:      {"DeleteObject", http.MethodDelete, quickAnswer, slotNone},
	opDeleteMany:  {"DeleteMultipleObjects", http.MethodPost, storeAnswer, slotNone},
	opList:        {"ListObjectsV2", http.MethodGet, quickAnswer, slotList},
	opInitiate:    {"InitiateMultipartUpload", http.MethodPost, quickAnswer, slotNone},
	opUploadPart:  {"UploadPart", http.MethodPut, storeAnswer, slotNone},
	opCopyPart:    {"UploadPartCopy", http.MethodPut, slowAnswer, slotNone},
	opComplete:    {"CompleteMultipartUpload", http.MethodPost, slowAnswer, slotNone},
	opAbort:       {"AbortMultipartUpload", http.MethodDelete, storeAnswer, slotNone},
	opListParts:   {"ListParts", http.MethodGet, quickAnswer, slotList},
	opListUploads: {"ListMultipartUploads", http.MethodGet, quickAnswer, slotList},
	opAppend:      {"AppendObject", http.MethodPost, storeAnswer, slotNone},
	opPutSymlink:  {"PutSymlink", http.MethodPut, quickAnswer, slotNone},
	opGetSymlink:  {"GetSymlink", http.MethodGet, quickAnswer, slotHead},
	opRestore:     {"RestoreObject", http.MethodPost, quickAnswer, slotNone},
	opInfo:        {"GetBucketInfo", http.MethodGet, quickAnswer, slotHead},
	opLocation:    {"GetBucketLocation", http.MethodGet, quickAnswer, slotNone},
	opSignURL:     {"SignURL", http.MethodGet, 0, slotNone},
}

func (o operation) String() string          { return operations[o].name }
func (o operation) method() string          { return operations[o].method }
func (o operation) deadline() time.Duration { return operations[o].deadline }
func (o operation) slot() slot              { return operations[o].slot }
