package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/internal/uploads"
	"github.com/ossfs/ossfs/ossclient"
)

// abortOlder spares what a mount may be sending now, unless another age is given.
const abortOlder = 24 * time.Hour

// uploadsQuestion is what the uploads command was asked.
type uploadsQuestion struct {
	connection
	older durationValue
	json  bool
}

func uploadsCommand() command {
	return command{
		name:  "uploads",
		usage: "list|abort [flags] oss://BUCKET[/PREFIX]",
		short: "unfinished multipart uploads, their age and their size",
		long: `Parts of an upload that was begun and never completed are stored and paid for, and no listing of
objects shows them. "list" does; "abort" removes those that were begun at least a day ago, or as long ago
as --older says: mind the uploads of mounts that are still at work.`,
		setup: func(flags *pflag.FlagSet) runner {
			q := new(uploadsQuestion)
			q.connection.define(flags)
			flags.Var(&q.older, "older", "only uploads that were begun so long ago (default for abort: 24h)")
			flags.BoolVar(&q.json, "json", false, "print JSON")
			return func(inv *invocation) error { return q.run(inv, flags.Changed("older")) }
		},
	}
}

// uploadsReport is what --json prints.
type uploadsReport struct {
	Bucket  string           `json:"bucket"`
	Uploads []uploads.Upload `json:"uploads"`
	Bytes   int64            `json:"bytes"`
}

func (q *uploadsQuestion) run(inv *invocation, olderGiven bool) error {
	if len(inv.args) != 2 || inv.args[0] != "list" && inv.args[0] != "abort" {
		return usagef("uploads takes list or abort, and one oss://BUCKET[/PREFIX]")
	}
	src, err := parseSource(inv.args[1])
	if err != nil {
		return err
	}
	abort := inv.args[0] == "abort"
	older := time.Duration(q.older)
	if abort && !olderGiven {
		older = abortOlder
	}
	cfg, end, err := q.clientConfig(src.bucket, nil)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop := inv.signals()
	defer stop()
	bucket, err := ossclient.Open(ctx, cfg)
	if err != nil {
		return explain(err, cfg, cfg.Endpoint)
	}
	defer bucket.Close()
	list, err := uploads.List(ctx, bucket, src.prefix, older, time.Now())
	switch {
	case errors.Is(err, context.Canceled):
		return failf("uploads: interrupted")
	case err != nil:
		return explain(err, cfg, bucket.Endpoint())
	}
	failed := 0
	if abort {
		failed = uploads.Abort(ctx, bucket, list)
	}
	if q.json {
		err = printJSON(inv.out, uploadsReport{src.String(), list, uploads.Total(list)})
	} else if err = printUploads(inv, list, abort); err == nil && abort && len(list) == 0 {
		_, err = fmt.Fprintf(inv.out, "no unfinished uploads older than %s\n", uploads.Age(older))
	}
	if err != nil {
		return failf("uploads: %w", err)
	}
	if failed > 0 {
		return failf("uploads abort: %d of %d were not aborted, the first because of: %s", failed, len(list), firstError(list))
	}
	return nil
}

func printUploads(inv *invocation, list []uploads.Upload, abort bool) error {
	if !abort {
		return uploads.Print(inv.out, list)
	}
	var freed int64
	for _, u := range list {
		if !u.Aborted {
			continue
		}
		freed += u.Bytes
		if _, err := fmt.Fprintf(inv.out, "aborted %s (%s)\n", uploads.Name(u.Key), humanize.IBytes(uint64(u.Bytes))); err != nil {
			return err
		}
	}
	if freed > 0 {
		_, err := fmt.Fprintf(inv.out, "%s freed\n", humanize.IBytes(uint64(freed)))
		return err
	}
	return nil
}

func firstError(list []uploads.Upload) string {
	for _, u := range list {
		if u.Error != "" {
			return u.Error
		}
	}
	return ""
}
