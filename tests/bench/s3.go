package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"strings"
)

// s3 is an OSS server as clients of S3 want it, for peers that speak only that: the requests are alike, and their headers begin otherwise
// (https://help.aliyun.com/en/oss/developer-reference/compatibility-with-amazon-s3). Nobody's signature is looked at: it is S3's, of
// headers that OSS does not get; the bucket must be open to everybody. What is counted, and how slow the network is, is the server's as for all.
type s3 struct{ oss http.Handler }

func (f s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	bucketAlone := strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0
	switch {
	case bucketAlone && q.Has("location"):
		answerXML(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
		return
	case bucketAlone && q.Has("uploads"): // only the owner may ask that; nobody left any
		answerXML(w, `<ListMultipartUploadsResult></ListMultipartUploadsResult>`)
		return
	}
	out := r.Clone(r.Context())
	out.Header = toOSS(r.Header)
	for name := range q {
		if name == "x-id" || strings.HasPrefix(name, "X-Amz-") { // the operation's name, and signatures
			q.Del(name)
		}
	}
	out.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	out.RequestURI = out.URL.RequestURI()
	if q.Has("delete") && out.Header.Get("Content-Md5") == "" { // S3 takes other sums, too
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sum := md5.Sum(body)
		out.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	f.oss.ServeHTTP(&s3Answer{ResponseWriter: w}, out)
}

func answerXML(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, text) // who asked may be gone
}

// toOSS are the headers of a request as OSS wants them.
func toOSS(from http.Header) http.Header {
	to := maps.Clone(from)
	for name, values := range from {
		rest, amz := strings.CutPrefix(name, "X-Amz-")
		if !amz && name != "Authorization" {
			continue
		}
		delete(to, name)
		switch {
		case strings.HasPrefix(rest, "Meta-"), strings.HasPrefix(rest, "Copy-Source-"), rest == "Metadata-Directive":
			to["X-Oss-"+rest] = values
		case rest == "Copy-Source":
			to.Set("X-Oss-Copy-Source", "/"+strings.TrimPrefix(values[0], "/"))
		}
	}
	return to
}

// s3Answer gives the headers of an answer the names that S3 has for them.
type s3Answer struct {
	http.ResponseWriter
	begun bool
}

func (a *s3Answer) WriteHeader(status int) {
	if !a.begun {
		a.begun = true
		h := a.Header()
		for name, values := range maps.Clone(h) {
			if rest, oss := strings.CutPrefix(http.CanonicalHeaderKey(name), "X-Oss-"); oss {
				delete(h, name)
				if rest != "Storage-Class" {
					h["X-Amz-"+rest] = values
				}
			}
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *s3Answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *s3Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// ReadFrom keeps the way that avoids a copy.
func (a *s3Answer) ReadFrom(r io.Reader) (int64, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return io.Copy(a.ResponseWriter, r)
}
