package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

type options struct {
	only   string
	runs   int
	json   string
	svg    string
	memory string
	flags  []string
	peer   string
	keep   bool
}

func main() {
	if os.Getenv(serverEnv) != "" {
		fail(serve(os.Stdin, os.Stdout))
		return
	}
	var o options
	pflag.StringVar(&o.only, "only", "", "run the rows whose names match this regular expression")
	pflag.IntVar(&o.runs, "runs", 1, "runs of each row; the run with the median time is reported")
	pflag.StringVar(&o.json, "json", "", "write the figures to this file")
	pflag.StringVar(&o.svg, "svg", "", "write a picture of each group into this folder")
	pflag.StringVar(&o.memory, "memory", "", "--memory of the mounts; empty: the default")
	pflag.StringArrayVar(&o.flags, "flag", nil, "one more flag for each mount; may be repeated")
	pflag.StringVar(&o.peer, "peer", "", `measure another program: the shell's command line that mounts $BUCKET of $ENDPOINT on "$MNT" in the foreground ($STATE is a folder for it)`)
	pflag.BoolVar(&o.keep, "keep", false, "keep each row's folder, with ossfs's log")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(runAll(ctx, o))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runAll(ctx context.Context, o options) error {
	if o.peer != "" && (o.memory != "" || len(o.flags) > 0) {
		return errors.New("--peer: --memory and --flag are of ossfs; put the peer's own into its command line")
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "ossfs-bench-")
	if err != nil {
		return err
	}
	if !o.keep {
		defer os.RemoveAll(tmp)
	}
	program, err := build(ctx, tmp)
	if err != nil {
		return err
	}
	report := report{Machine: machine(), Peer: o.peer}
	fmt.Println(report.Machine)
	if o.peer != "" {
		fmt.Println("by", o.peer)
	}
	var failures []error
	for _, r := range slices.Concat(listRows(), readRows(), writeRows()) {
		if !only.MatchString(r.name) || ctx.Err() != nil {
			continue
		}
		res, err := median(ctx, r, o, program, tmp)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", r.name, err))
			fmt.Printf("\n%s: %v\n", r.name, err)
			continue
		}
		report.Rows = append(report.Rows, reportRow{r.name, r.work, res})
		report.print(os.Stdout, len(report.Rows)-1)
	}
	return errors.Join(append(failures, report.write(o))...)
}

// median runs a row several times and returns the run in the middle by its time (or its first figure).
func median(ctx context.Context, r row, o options, program, tmp string) (result, error) {
	var all []result
	for i := range max(o.runs, 1) {
		dir := filepath.Join(tmp, strings.ReplaceAll(r.name, "/", "-")+fmt.Sprint(i))
		res, err := runOnce(ctx, r, &bench{ctx: ctx, program: program, tmp: dir, memory: o.memory, extra: o.flags, peer: o.peer})
		if err != nil {
			return res, err
		}
		if !o.keep {
			if err := os.RemoveAll(dir); err != nil {
				return res, err
			}
		}
		all = append(all, res)
	}
	slices.SortFunc(all, func(a, b result) int { return int((a.sortKey() - b.sortKey()) * 1e6) })
	return all[len(all)/2], nil
}

// sortKey is the run's time, or what stands for it.
func (r result) sortKey() float64 {
	for _, f := range r.Figures {
		switch f.Name {
		case "time":
			return f.Value
		case "rate", "IOPS":
			return -f.Value
		}
	}
	return r.Figures[0].Value
}

func runOnce(ctx context.Context, r row, b *bench) (result, error) {
	if err := os.MkdirAll(b.tmp, 0o755); err != nil {
		return result{}, err
	}
	var err error
	if b.server, err = startServer(); err != nil {
		return result{}, err
	}
	res, err := r.run(b)
	return res, errors.Join(err, b.server.close(), ctx.Err())
}
