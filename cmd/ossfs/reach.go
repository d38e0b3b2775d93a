package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// reach knows for how long OSS has not answered.
type reach struct {
	mu     sync.Mutex // guards the fields below
	silent time.Time  // when the first attempt after the last answer failed without one; zero: none has
}

// observe takes an attempt of a request that is over.
func (r *reach) observe(e ossclient.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Status != 0:
		r.silent = time.Time{}
	case e.Err != nil && r.silent.IsZero() && !errors.Is(e.Err, context.Canceled):
		r.silent = time.Now()
	}
}

// silence is how long nothing was answered, though it was tried.
func (r *reach) silence() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent.IsZero() {
		return 0
	}
	return time.Since(r.silent)
}
