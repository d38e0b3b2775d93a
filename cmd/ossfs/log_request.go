package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

// logRequest writes one attempt of a request to the log of --log-level debug.
func logRequest(log *slog.Logger, e ossclient.Event) {
	ctx := context.Background()
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	list := []slog.Attr{
		slog.String("op", e.Op), slog.String("key", string(e.Key)), slog.Int("status", e.Status),
		slog.Duration("duration", e.Duration.Round(time.Microsecond)), slog.Int64("sent", e.Sent), slog.Int64("received", e.Received),
	}
	if e.Attempt > 1 {
		list = append(list, slog.Int("attempt", e.Attempt))
	}
	if e.Hedge {
		list = append(list, slog.Bool("hedge", true))
	}
	if e.Err != nil {
		list = append(list, slog.String("error", e.Err.Error()))
	}
	log.LogAttrs(ctx, slog.LevelDebug, "request", list...)
}
