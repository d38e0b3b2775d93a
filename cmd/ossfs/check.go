package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ossfs/ossfs/internal/doctor"
	"github.com/ossfs/ossfs/ossclient"
)

const (
	checkPatience = 8 * time.Second // a mount that cannot work says so within ten seconds
	checkBudget   = 4 * time.Second // for the repetitions of one request
)

// checkBucket asks the bucket for one key, so that what would make every later request fail is said
// before anything is mounted. It returns the configuration completed with the region it found.
func checkBucket(ctx context.Context, cfg ossclient.Config, prefix ossclient.Key) (ossclient.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	quick := cfg
	quick.RetryBudget = checkBudget
	bucket, err := ossclient.Open(ctx, quick)
	if err != nil {
		return cfg, explain(err, cfg, cfg.Endpoint)
	}
	defer bucket.Close()
	if _, err := bucket.List(ctx, ossclient.ListRequest{Prefix: prefix, MaxKeys: 1}); err != nil {
		return cfg, explain(err, cfg, bucket.Endpoint())
	}
	cfg.Region = bucket.Region()
	return cfg, nil
}

// explain puts the failure of a first request into one line for the person at the keyboard.
func explain(err error, cfg ossclient.Config, endpoint string) error {
	cause := doctor.Explain(err, cfg, endpoint)
	var refused *ossclient.Error
	if !errors.As(err, &refused) {
		return failf("oss://%s: %w", cfg.Bucket, err)
	}
	switch {
	case cause.What == "":
		return failf("%w", err)
	case cause.Cure == "" && errors.Is(err, ossclient.ErrPermission):
		cause.Cure = "grant oss:ListObjects (and GetObject, PutObject, DeleteObject, AbortMultipartUpload, ListParts) on the bucket to these credentials"
	}
	text := fmt.Sprintf("oss://%s: %s: %s", cfg.Bucket, cause.What, cause.Cure) + doctor.Reference(err)
	status := exitFailed
	if refused.Op == "Open" && errors.Is(err, ossclient.ErrInvalid) { // nobody was asked: an endpoint or a region that is none
		status = exitUsage
	}
	return &failure{status: status, text: text, cause: err}
}

// causeOf is the innermost error.
func causeOf(err error) error {
	var e *ossclient.Error
	if errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
