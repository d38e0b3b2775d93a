package ossclient

import (
	"context"
	"errors"
	"strconv"
)

// ListRequest asks for a page of the bucket's keys in the order of their bytes.
type ListRequest struct {
	Prefix     Key
	Delimiter  string // keys are rolled up to Prefixes at the first one after Prefix; empty: not
	StartAfter Key    // only keys after it
	Token      string // Page.Next of the page before
	MaxKeys    int    // 1 to 1,000; 0: 1,000
}

// maxListBytes bounds a page: 1,000 keys of 1,023 bytes, each byte escaped, and what surrounds them.
const maxListBytes = 16 << 20

// maxListed is how many keys a page has at most.
const maxListed = 1000

// List asks for one page (ListObjectsV2). It has keys, unless it is the last one: a page that OSS has found nothing for, behind which it
// goes on, is passed over.
func (b *Bucket) List(ctx context.Context, l ListRequest) (Page, error) {
	for {
		page, err := b.listOnce(ctx, l)
		if err != nil || page.Next == "" || len(page.Objects)+len(page.Prefixes) > 0 {
			return page, err
		}
		l.Token, l.StartAfter = page.Next, ""
	}
}

func (b *Bucket) listOnce(ctx context.Context, l ListRequest) (Page, error) {
	limit := l.MaxKeys
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	params := make([]param, 0, 8)
	add := func(name, value string) {
		if value != "" {
			params = append(params, param{name, value})
		}
	}
	add("continuation-token", l.Token)
	add("delimiter", l.Delimiter)
	add("encoding-type", "url")
	add("list-type", "2")
	add("max-keys", strconv.Itoa(limit))
	add("prefix", string(l.Prefix))
	add("start-after", string(l.StartAfter))
	var page Page
	_, err := b.do(ctx, &request{op: opList, key: "", params: params, accept: func(a *answer) error {
		body, err := readBody(a, maxListBytes)
		if err != nil {
			return err
		}
		if page, err = scanPage(body); err != nil {
			return &badAnswer{err}
		}
		if page.Next != "" && page.Next == l.Token {
			return &badAnswer{errors.New("the page that follows is the page itself")}
		}
		return nil
	}})
	return page, err
}
