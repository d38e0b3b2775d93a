package namespace

import (
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// stagedItem is a child of a directory of which the overlay knows something.
type stagedItem struct {
	component string
	dir       bool
}

func (i *stagedItem) sort() string {
	if i.dir {
		return i.component + "/"
	}
	return i.component
}

// overlayPage is how many items of the overlay are asked for at once.
const overlayPage = 1000

// staged lists what the overlay has in dir, in order, after the sort key from.
func (t *Tree) staged(dir ossclient.Key, from string, limit int) []stagedItem {
	if limit == 0 {
		limit = overlayPage
	}
	var list []stagedItem
	for _, it := range t.o.Overlay.Overlay(dir, past("", after(from)), limit) {
		list = append(list, stagedItem{strings.TrimSuffix(string(it.Name), "/"), it.Dir})
	}
	return list
}

// after is the sort key of a file, or of nothing, with the smallest byte behind it; a directory's as it is.
func after(sort string) string {
	if strings.HasSuffix(sort, "/") {
		return sort
	}
	return sort + "\x00"
}

// item is a child of a directory that may have to be shown.
type item struct {
	component string
	dir       bool
	listed    bool  // the bucket showed it
	call      *call // for what the bucket showed: its attributes
	unasked   *ossclient.Object
	began     uint64
	until     time.Time
}

// mergeSort merges the rows of a page with the sort keys that overlay and confirmations add.
func mergeSort(p *page, listed []item, staged []stagedItem, confirmed []string) []item {
	out := make([]item, 0, len(listed)+len(staged)+len(confirmed))
	for len(listed) > 0 || len(staged) > 0 || len(confirmed) > 0 {
		next, from := "", 0
		consider := func(sort string, source int) {
			if from == 0 || sort < next {
				next, from = sort, source
			}
		}
		if len(listed) > 0 {
			consider(listed[0].sort(), 1)
		}
		if len(staged) > 0 {
			consider(staged[0].sort(), 2)
		}
		if len(confirmed) > 0 {
			consider(confirmed[0], 3)
		}
		if from == 1 {
			out = append(out, listed[0])
		} else {
			name, dir := strings.CutSuffix(next, "/")
			out = append(out, item{component: name, dir: dir, began: p.began, until: p.until})
		}
		if len(listed) > 0 && listed[0].sort() == next {
			listed = listed[1:]
		}
		if len(staged) > 0 && staged[0].sort() == next {
			staged = staged[1:]
		}
		if len(confirmed) > 0 && confirmed[0] == next {
			confirmed = confirmed[1:]
		}
	}
	return out
}

func (i *item) sort() string {
	if i.dir {
		return i.component + "/"
	}
	return i.component
}
