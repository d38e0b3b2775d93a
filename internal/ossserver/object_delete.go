package ossserver

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/ossfs/ossfs/internal/ossserver/store"
)

// deleteMultiple is https://help.aliyun.com/en/oss/developer-reference/deletemultipleobjects.
func (c *call) deleteMultiple() error {
	if c.r.Header.Get("Content-Md5") == "" {
		return fail(http.StatusBadRequest, "MissingArgument", "0016-00000606", "Missing Some Required Arguments.", "ArgumentName", "Content-MD5")
	}
	doc, err := c.readDocument()
	if err != nil {
		return err
	}
	keys, quiet, ok := parseDelete(doc)
	if !ok || len(keys) == 0 || len(keys) > maxListed {
		return malformedXML()
	}
	for _, key := range keys {
		if !validKey(key) {
			return invalidName(key)
		}
	}
	err = c.server.store.Update(func(tx *store.Tx) error {
		for _, key := range keys {
			if tx.Object(c.bucket, key) != nil {
				tx.DeleteObject(c.bucket, key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if quiet {
		return c.empty(http.StatusOK)
	}
	x := xmlWriter{url: c.param("encoding-type") == "url"}
	x.begin("DeleteResult")
	if x.url {
		x.raw("EncodingType", "url")
	}
	for _, key := range keys {
		x.begin("Deleted")
		x.key("Key", key)
		x.end("Deleted")
	}
	x.end("DeleteResult")
	c.writeXML(http.StatusOK, &x)
	return nil
}

// readDocument returns the request's body, compared with Content-MD5.
func (c *call) readDocument() (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.conn, c.r.Body, maxDocument))
	c.server.stats.in.Add(int64(len(body)))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", malformedXML()
		}
		return "", errAbandoned
	}
	return string(body), checkMD5(c.r, body)
}

// parseDelete reads <Delete><Quiet/><Object><Key/></Object>...</Delete>.
func parseDelete(doc string) (keys []string, quiet, ok bool) {
	objects := 0
	ok = scanXML(doc, func(path string) {
		if path == "Delete/Object" {
			objects++
		}
	}, func(path, text string) {
		switch path {
		case "Delete/Quiet":
			quiet = strings.EqualFold(strings.TrimSpace(text), "true")
		case "Delete/Object/Key":
			keys = append(keys, text)
		}
	})
	return keys, quiet, ok && objects == len(keys)
}
