package ossclient

import (
	"net/http"
	"time"
)

// operation is what is true of every request of one kind.
type operation struct {
	name     string
	method   string
	deadline time.Duration // from the last byte sent to the answer's headers
	slot     slot          // whose answers may be raced by a second request
}

// slot groups the operations whose latencies are alike.
type slot uint8

const (
	slotNone slot = iota
	slotHead
	slotGet
	slotList
	slots
)

// How long an answer may take: OSS answers most requests in milliseconds; those that move much data
// inside the service, or wait for it to be stored, get longer.
const (
	quickAnswer = 20 * time.Second
	storeAnswer = 60 * time.Second
	slowAnswer  = 5 * time.Minute
)

func opHead() operation {
	return operation{name: "HeadObject", slot: slotHead, method: http.MethodHead, deadline: quickAnswer}
}

func opGet() operation {
	return operation{name: "GetObject", slot: slotGet, method: http.MethodGet, deadline: quickAnswer}
}

func opPut() operation {
	return operation{name: "PutObject", method: http.MethodPut, deadline: storeAnswer}
}

func opCopy() operation {
	return operation{name: "CopyObject", method: http.MethodPut, deadline: slowAnswer}
}

func opDelete() operation {
	return operation{name: "DeleteObject", method: http.MethodDelete, deadline: quickAnswer}
}

func opDeleteMany() operation {
	return operation{name: "DeleteMultipleObjects", method: http.MethodPost, deadline: storeAnswer}
}

func opList() operation {
	return operation{name: "ListObjectsV2", slot: slotList, method: http.MethodGet, deadline: quickAnswer}
}

func opInitiate() operation {
	return operation{name: "InitiateMultipartUpload", method: http.MethodPost, deadline: quickAnswer}
}

func opUploadPart() operation {
	return operation{name: "UploadPart", method: http.MethodPut, deadline: storeAnswer}
}

func opCopyPart() operation {
	return operation{name: "UploadPartCopy", method: http.MethodPut, deadline: slowAnswer}
}

func opComplete() operation {
	return operation{name: "CompleteMultipartUpload", method: http.MethodPost, deadline: slowAnswer}
}

func opAbort() operation {
	return operation{name: "AbortMultipartUpload", method: http.MethodDelete, deadline: storeAnswer}
}

func opListParts() operation {
	return operation{name: "ListParts", slot: slotList, method: http.MethodGet, deadline: quickAnswer}
}

func opListUploads() operation {
	return operation{name: "ListMultipartUploads", slot: slotList, method: http.MethodGet, deadline: quickAnswer}
}

func opAppend() operation {
	return operation{name: "AppendObject", method: http.MethodPost, deadline: storeAnswer}
}

func opPutSymlink() operation {
	return operation{name: "PutSymlink", method: http.MethodPut, deadline: quickAnswer}
}

func opGetSymlink() operation {
	return operation{name: "GetSymlink", slot: slotHead, method: http.MethodGet, deadline: quickAnswer}
}

func opRestore() operation {
	return operation{name: "RestoreObject", method: http.MethodPost, deadline: quickAnswer}
}

func opInfo() operation {
	return operation{name: "GetBucketInfo", slot: slotHead, method: http.MethodGet, deadline: quickAnswer}
}

func opLocation() operation {
	return operation{name: "GetBucketLocation", method: http.MethodGet, deadline: quickAnswer}
}
