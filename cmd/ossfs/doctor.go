package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/internal/doctor"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

// doctorQuestion is what the doctor command was asked.
type doctorQuestion struct {
	connection
	json     bool
	readOnly bool
}

func doctorCommand() command {
	return command{
		name:  "doctor",
		usage: "[flags] oss://BUCKET[/PREFIX]",
		short: "find out why a bucket cannot be mounted, or is slow",
		long: `It looks at this machine (FUSE, kernel), the credentials and where they come from, the way to the
endpoint (name, TLS, clock), the bucket and its region, tries what a mount does (list, put, get, copy,
multipart, delete) and measures round trip and throughput, all within ten seconds. What it writes lies
below one name, .ossfs-doctor-..., in the prefix, and is removed. It exits with 1 when something fails.`,
		setup: func(flags *pflag.FlagSet) runner {
			q := new(doctorQuestion)
			q.connection.define(flags)
			flags.BoolVar(&q.readOnly, "read-only", false, "write nothing: for a mount that only reads")
			flags.BoolVar(&q.json, "json", false, "print JSON")
			return q.run
		},
	}
}

func (q *doctorQuestion) run(inv *invocation) error {
	if len(inv.args) != 1 {
		return usagef("doctor takes one oss://BUCKET[/PREFIX]")
	}
	src, err := parseSource(inv.args[0])
	if err != nil {
		return err
	}
	cfg, end, err := q.clientConfig(src.bucket, nil)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop := inv.signals()
	defer stop()
	o := doctor.Options{Config: cfg, Prefix: src.prefix, ReadOnly: q.readOnly}
	if source, ok := cfg.Credentials.(interface {
		Explain() credentials.Explanation
	}); ok {
		o.Explain = source.Explain
	}
	_, colour := terminal(inv.out)
	p := doctor.Printer{W: inv.out, Width: terminalWidth(inv.out), Colour: colour && os.Getenv("NO_COLOR") == ""}
	if !q.json {
		o.Progress = p.Check
	}
	report := doctor.Run(ctx, o)
	if q.json {
		err = printJSON(inv.out, report)
	} else {
		p.Summary(report)
	}
	switch {
	case err != nil:
		return failf("doctor: %w", err)
	case !report.OK:
		return &exitStatus{exitFailed}
	}
	return nil
}
