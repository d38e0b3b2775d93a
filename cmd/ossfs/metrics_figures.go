package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ossfs/ossfs/fs"
)

// figures are a mount's own numbers, read when they are asked for.
type figures struct {
	mount *fs.Mount
	rows  []figure
	use   *prometheus.Desc // memory by use
}

var _ prometheus.Collector = (*figures)(nil)

// figure is a number of a mount's status.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(fs.Status) float64
}

func newFigures(x *session) *figures {
	f := &figures{
		mount: x.mount,
		use:   prometheus.NewDesc("ossfs_memory_bytes", "Memory of the budget in use.", []string{"use"}, nil),
	}
	f.addQueue()
	f.addRequests()
	f.addCaches()
	f.gauge("memory_budget_bytes", "Memory for ranges, windows and upload buffers.", func(s fs.Status) float64 { return float64(s.MemoryAll) })
	f.gauge("inodes", "Inodes that the kernel knows.", func(s fs.Status) float64 { return float64(s.Inodes) })
	info := prometheus.Labels{"source": x.source.String(), "mountpoint": x.place.path, "version": version}
	f.rows = append(f.rows, figure{
		prometheus.NewDesc("ossfs_mount_info", "What is mounted where; always 1.", nil, info), prometheus.GaugeValue,
		func(fs.Status) float64 { return 1 },
	})
	return f
}

// add defines a figure. Figures of one name differ in the values of their labels.
func (f *figures) add(kind prometheus.ValueType, name, help string, labels prometheus.Labels, value func(fs.Status) float64) {
	f.rows = append(f.rows, figure{prometheus.NewDesc("ossfs_"+name, help, nil, labels), kind, value})
}

func (f *figures) gauge(name, help string, value func(fs.Status) float64) {
	f.add(prometheus.GaugeValue, name, help, nil, value)
}

func (f *figures) counter(name, help string, value func(fs.Status) float64) {
	f.add(prometheus.CounterValue, name, help, nil, value)
}

// addQueue is what the bucket does not have yet.
func (f *figures) addQueue() {
	f.gauge("unsent_entries", "Changes that the bucket does not have yet.", func(s fs.Status) float64 {
		return float64(s.Writeback.Waiting + s.Writeback.Sending + s.Writeback.Failed)
	})
	f.gauge("sending_entries", "Changes that are being sent.", func(s fs.Status) float64 { return float64(s.Writeback.Sending) })
	f.gauge("failed_entries", "Changes that cannot be sent, kept for the next mount or flush.", func(s fs.Status) float64 { return float64(s.Writeback.Failed) })
	f.gauge("unsent_bytes", "Content that the bucket does not have yet.", func(s fs.Status) float64 { return float64(s.Writeback.Bytes) })
	f.gauge("oldest_unsent_seconds", "Age of the oldest change that the bucket does not have.", func(s fs.Status) float64 { return s.Writeback.Oldest.Seconds() })
	f.gauge("stage_used_bytes", "Staged data on the local disk.", func(s fs.Status) float64 { return float64(s.Writeback.StageUsed) })
	f.gauge("stage_budget_bytes", "Staged data that may be on the local disk.", func(s fs.Status) float64 { return float64(s.Writeback.StageBudget) })
	f.gauge("unfinished_renames", "Renames that are not finished in the bucket.", func(s fs.Status) float64 { return float64(s.Writeback.Moves) })
	f.counter("uploaded_objects_total", "Changes that the bucket has confirmed.", func(s fs.Status) float64 { return float64(s.Writeback.SentObjects) })
	f.counter("uploaded_bytes_total", "Content that the bucket has confirmed.", func(s fs.Status) float64 { return float64(s.Writeback.SentBytes) })
	f.counter("conflicts_total", "Uploads that met an object which another client had changed.", func(s fs.Status) float64 { return float64(s.Writeback.Conflicts) })
}

func (f *figures) addRequests() {
	f.counter("throttled_total", "Answers of OSS that asked to slow down.", func(s fs.Status) float64 { return float64(s.Bucket.Throttled) })
	f.counter("hedges_total", "Second requests sent because the first was slow.", func(s fs.Status) float64 { return float64(s.Bucket.Hedges) })
	f.counter("corrupt_total", "Checksums that did not match.", func(s fs.Status) float64 { return float64(s.Bucket.Corrupt) })
	f.gauge("requests_in_flight", "Requests that wait for an answer.", func(s fs.Status) float64 { return float64(s.Bucket.InFlight) })
	f.gauge("requests_limit", "Requests that may wait for an answer at once.", func(s fs.Status) float64 { return float64(s.Bucket.Limit) })
	f.gauge("clock_skew_seconds", "How far the clock of OSS is ahead.", func(s fs.Status) float64 { return s.Bucket.ClockSkew.Seconds() })
}

// addCaches is what is remembered, what it was good for, and what was fetched for nothing.
func (f *figures) addCaches() {
	found := func(cache, result string, value func(fs.Status) int64) {
		f.add(prometheus.CounterValue, "cache_lookups_total",
			"What was looked for in memory or on the local disk: blocks (found in a window that read ahead, or stored from an earlier read), attributes, listings.",
			prometheus.Labels{"cache": cache, "result": result}, func(s fs.Status) float64 { return float64(value(s)) })
	}
	found("blocks", "window", func(s fs.Status) int64 { return s.Reads.Ahead })
	found("blocks", "stored", func(s fs.Status) int64 { return s.Reads.Stored })
	found("blocks", "miss", func(s fs.Status) int64 { return s.Reads.Missed })
	found("attributes", "hit", func(s fs.Status) int64 { return s.Records.Hits })
	found("attributes", "miss", func(s fs.Status) int64 { return s.Records.Misses })
	found("listings", "hit", func(s fs.Status) int64 { return s.Listings.Hits })
	found("listings", "miss", func(s fs.Status) int64 { return s.Listings.Misses })
	f.counter("fetched_bytes_total", "Content of objects that was fetched.", func(s fs.Status) float64 { return float64(s.Reads.Fetched) })
	f.counter("fetched_read_bytes_total", "Of it, blocks of which something was read.", func(s fs.Status) float64 { return float64(s.Reads.Read) })
	f.counter("fetched_unread_bytes_total", "Of it, blocks that were dropped before anything of them was read.", func(s fs.Status) float64 { return float64(s.Reads.Unread) })
	f.counter("files_ahead_read_bytes_total", "Content fetched before its file was opened, and then read.", func(s fs.Status) float64 { return float64(s.Reads.Helped) })
	f.counter("files_ahead_unread_bytes_total", "Content fetched before its file was opened, and never read.", func(s fs.Status) float64 { return float64(s.Reads.Wasted) })
	f.gauge("listings_bytes", "Memory of the listings that are remembered, beside the budget.", func(s fs.Status) float64 { return float64(s.Listings.Listings) })
}

// Describe lists the figures.
func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	for _, row := range f.rows {
		ch <- row.desc
	}
	ch <- f.use
}

// Collect reads them all from one status, so that they add up.
func (f *figures) Collect(ch chan<- prometheus.Metric) {
	st := f.mount.Status()
	for _, row := range f.rows {
		ch <- prometheus.MustNewConstMetric(row.desc, row.kind, row.value(st))
	}
	for use, bytes := range st.Memory {
		ch <- prometheus.MustNewConstMetric(f.use, prometheus.GaugeValue, float64(bytes), use)
	}
}
