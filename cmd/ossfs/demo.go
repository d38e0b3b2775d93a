package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	demoName   = "demo"
	demoBucket = "demo"
	demoRegion = "cn-hangzhou"
)

// demo is the demo command's own settings; the mount's are beside them.
type demo struct {
	settings
	dir       string
	listen    string
	latency   durationValue
	bandwidth sizeValue
}

func demoCommand() command {
	return command{
		name:  demoName,
		usage: "[flags] [MOUNTPOINT] [-- COMMAND ARG...]",
		short: "an OSS server on this machine and a mount of it",
		long: "The objects are kept in a directory, so that the next demo shows the same tree. With a COMMAND, that is\n" +
			"run, where the demo was started ({} in it is the mountpoint, $OSSFS_MOUNT too), and the demo ends with its\n" +
			"exit status when everything is sent: ossfs demo -- rsync -a /usr/include/ {}/include/",
		setup: func(flags *pflag.FlagSet) runner {
			d := new(demo)
			d.listen = "127.0.0.1:0"
			text(flags, &d.dir, "dir", "DIR", "keep objects and journal here (default: $XDG_STATE_HOME/ossfs/demo)")
			text(flags, &d.listen, "listen", "ADDR", "where the server listens")
			flags.Var(&d.latency, "latency", "what the server waits before each answer")
			flags.Var(&d.bandwidth, "bandwidth", "bytes a second that a connection carries each way")
			d.settings.define(flags)
			hideConnection(flags)
			return d.run
		},
	}
}

// hideConnection takes away the flags that would lead to another server, from the help and from the
// environment alike.
func hideConnection(flags *pflag.FlagSet) {
	other := newFlagSet(demoName)
	new(connection).define(other)
	other.VisitAll(func(f *pflag.Flag) { flags.Lookup(f.Name).Hidden = true })
}

func (d *demo) run(inv *invocation) error {
	if len(inv.args) > 1 {
		return usagef("demo takes one MOUNTPOINT, and was given %q besides: a command comes after --", inv.args[1])
	}
	if inv.rest != nil && len(inv.rest) == 0 {
		return usagef("which command comes after --?")
	}
	if err := d.settings.check(); err != nil {
		return err
	}
	if err := checkFuse(); err != nil {
		return err
	}
	program, err := findProgram(inv.rest)
	if err != nil {
		return err
	}
	server, err := startDemoServer(d)
	if err != nil {
		return err
	}
	defer server.close(inv.err)
	target, remove, err := demoMountpoint(inv.args)
	if err != nil {
		return err
	}
	defer remove()
	return d.mounted(inv, server, target, program)
}

// mounted is the demo from its mount to its end.
func (d *demo) mounted(inv *invocation, server *demoServer, target, program string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	toSession := make(chan os.Signal, 8)
	d.prepare(server)
	x, err := openSession(sessionOptions{
		console: inv.console, settings: &d.settings, source: source{bucket: demoBucket}, target: target, signals: signals,
	})
	if err != nil {
		return err
	}
	x.signals = toSession
	for _, warning := range x.warnings {
		fmt.Fprintln(inv.err, "ossfs: "+warning)
	}
	ended := make(chan error, 1)
	go func() { ended <- x.serve() }()
	if program == "" {
		server.introduce(inv.out, x.place.path)
		return relay(signals, toSession, ended)
	}
	start := time.Now()
	status := runInMount(inv, program, x.place.path, signals)
	toSession <- syscall.SIGTERM
	if err := relay(signals, toSession, ended); err != nil {
		return err
	}
	server.summarize(inv.err, time.Since(start))
	return status
}

// relay passes signals on until the session has ended.
func relay(from <-chan os.Signal, to chan<- os.Signal, ended <-chan error) error {
	for {
		select {
		case sig := <-from:
			select {
			case to <- sig:
			default: // more than it can take in: it is ending
			}
		case err := <-ended:
			return err
		}
	}
}

// prepare points the settings to the server, whatever the environment says about another.
func (d *demo) prepare(server *demoServer) {
	s := &d.settings
	s.connection.endpoint, s.connection.region = server.endpoint, demoRegion
	s.connection.addressing.value = "path"
	s.connection.credentials = server.key
	if s.stateDir == "" {
		s.stateDir = filepath.Join(server.dir, "state")
	}
	if s.logging.file == "" {
		s.logging.file = filepath.Join(server.dir, "ossfs.log")
	}
	s.foreground = true
}

// demoMountpoint is the one that was asked for, or a temporary one.
func demoMountpoint(args []string) (path string, remove func(), err error) {
	if len(args) == 1 {
		return args[0], func() {}, nil
	}
	path, err = os.MkdirTemp("", "ossfs-demo-")
	if err != nil {
		return "", nil, failf("a mountpoint for the demo: %w: give one", err)
	}
	return path, func() { _ = os.Remove(path) }, nil // never RemoveAll: it may still be mounted
}

// demoDir is where the demo keeps its objects.
func (d *demo) demoDir() (string, error) {
	if d.dir != "" {
		path, err := filepath.Abs(d.dir)
		if err != nil {
			return "", failf("--dir %s: %w", d.dir, err)
		}
		return path, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "ossfs", demoName), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", failf("no place for the demo's objects: $HOME is not set: give --dir DIR")
	}
	return filepath.Join(home, ".local", "state", "ossfs", demoName), nil
}

// demoKey is an access key that this process made up for itself.
type demoKey ossclient.Credential

var _ ossclient.Credentials = (*demoKey)(nil)

// exitOf is how a command ended, as the shell would say it.
func exitOf(err error, state *os.ProcessState) error {
	if state == nil {
		return failf("%w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &exitStatus{128 + int(status.Signal())}
	}
	if code := state.ExitCode(); code != 0 {
		return &exitStatus{code}
	}
	return nil
}

// packageOf is the Debian package that has a program.
func packageOf(program string) string {
	switch program {
	case "setfattr", "getfattr":
		return "attr"
	case "fusermount3", "fusermount":
		return "fuse3"
	case "sqlite":
		return "sqlite3"
	case "cc", "make":
		return "build-essential"
	default:
		return program
	}
}

func sudo() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return "sudo "
}
