package ossclient

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	maxDocument = 8 << 20 // an XML answer other than a listing
)

// readBody reads an answer's whole body, at most limit bytes of it.
func readBody(a *answer, limit int64) ([]byte, error) {
	if a.length > limit {
		return nil, &badAnswer{fmt.Errorf("its %d bytes are too many", a.length)}
	}
	var buf bytes.Buffer
	if a.length > 0 {
		buf.Grow(int(a.length) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(a.reader(), limit+1))
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, &badAnswer{fmt.Errorf("it has more than %d bytes", limit)}
	}
	return buf.Bytes(), nil
}

// readDocument decodes an XML answer whose root must be the one named: a 200 can carry an error too.
func readDocument(a *answer, root string, into any) error {
	body, err := readBody(a, maxDocument)
	if err != nil {
		return err
	}
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.Token()
		if err != nil {
			return &badAnswer{err}
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != root {
			return &badAnswer{fmt.Errorf("it is <%s>, want <%s>", start.Name.Local, root)}
		}
		if err := dec.DecodeElement(into, &start); err != nil {
			return &badAnswer{err}
		}
		return nil
	}
}

// reader reads the answer's body under the attempt's watch.
func (a *answer) reader() io.Reader { return (*watchedBody)(a) }

type watchedBody answer

// Read is the body's, watched.
func (w *watchedBody) Read(p []byte) (int, error) {
	w.watch.reading()
	n, err := w.body.Read(p)
	w.watch.read()
	w.received += int64(n)
	w.bucket.moved(0, int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = withCause(w.watch, err)
	}
	return n, err
}

// isoTime reads the times of XML answers, such as 2026-01-02T15:04:05.000Z.
func isoTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
