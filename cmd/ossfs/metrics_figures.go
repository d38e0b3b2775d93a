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

func newFigures(m *fs.Mount) *figures {
	gauge := func(name, help string, value func(fs.Status) float64) figure {
		return figure{prometheus.NewDesc("ossfs_"+name, help, nil, nil), prometheus.GaugeValue, value}
	}
	counter := func(name, help string, value func(fs.Status) float64) figure {
		return figure{prometheus.NewDesc("ossfs_"+name, help, nil, nil), prometheus.CounterValue, value}
	}
	return &figures{
		mount: m,
		use:   prometheus.NewDesc("ossfs_memory_bytes", "Memory of the budget in use.", []string{"use"}, nil),
		rows: []figure{
			gauge("unsent_entries", "Changes that the bucket does not have yet.", func(s fs.Status) float64 {
				return float64(s.Writeback.Waiting + s.Writeback.Sending + s.Writeback.Failed)
			}),
			gauge("sending_entries", "Changes that are being sent.", func(s fs.Status) float64 { return float64(s.Writeback.Sending) }),
			gauge("failed_entries", "Changes that cannot be sent, kept for the next mount or flush.", func(s fs.Status) float64 { return float64(s.Writeback.Failed) }),
			gauge("unsent_bytes", "Content that the bucket does not have yet.", func(s fs.Status) float64 { return float64(s.Writeback.Bytes) }),
			gauge("oldest_unsent_seconds", "Age of the oldest change that the bucket does not have.", func(s fs.Status) float64 { return s.Writeback.Oldest.Seconds() }),
			gauge("stage_used_bytes", "Staged data on the local disk.", func(s fs.Status) float64 { return float64(s.Writeback.StageUsed) }),
			gauge("stage_budget_bytes", "Staged data that may be on the local disk.", func(s fs.Status) float64 { return float64(s.Writeback.StageBudget) }),
			gauge("unfinished_renames", "Renames that are not finished in the bucket.", func(s fs.Status) float64 { return float64(s.Writeback.Moves) }),
			counter("uploaded_objects_total", "Changes that the bucket has confirmed.", func(s fs.Status) float64 { return float64(s.Writeback.SentObjects) }),
			counter("uploaded_bytes_total", "Content that the bucket has confirmed.", func(s fs.Status) float64 { return float64(s.Writeback.SentBytes) }),
			counter("conflicts_total", "Uploads that met an object which another client had changed.", func(s fs.Status) float64 { return float64(s.Writeback.Conflicts) }),
			counter("throttled_total", "Answers of OSS that asked to slow down.", func(s fs.Status) float64 { return float64(s.Bucket.Throttled) }),
			counter("hedges_total", "Second requests sent because the first was slow.", func(s fs.Status) float64 { return float64(s.Bucket.Hedges) }),
			counter("corrupt_total", "Checksums that did not match.", func(s fs.Status) float64 { return float64(s.Bucket.Corrupt) }),
			gauge("requests_in_flight", "Requests that wait for an answer.", func(s fs.Status) float64 { return float64(s.Bucket.InFlight) }),
			gauge("requests_limit", "Requests that may wait for an answer at once.", func(s fs.Status) float64 { return float64(s.Bucket.Limit) }),
			gauge("clock_skew_seconds", "How far the clock of OSS is ahead.", func(s fs.Status) float64 { return s.Bucket.ClockSkew.Seconds() }),
			gauge("memory_budget_bytes", "Memory for ranges, windows and upload buffers.", func(s fs.Status) float64 { return float64(s.MemoryAll) }),
			gauge("inodes", "Inodes that the kernel knows.", func(s fs.Status) float64 { return float64(s.Inodes) }),
		},
	}
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
