package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ossfs/ossfs/ossclient"
	"github.com/ossfs/ossfs/ossclient/credentials"
)

// connection is how the bucket is reached: what mount, doctor and uploads have in common.
type connection struct {
	region, endpoint                string
	internal, accelerate, dualstack bool
	addressing, sign                choiceValue
	source, profile, ramRole        string
	anonymous                       bool
	caBundle                        string

	credentials ossclient.Credentials // those of a demo; nil: the chain finds some
}

func (s *connection) define(flags *pflag.FlagSet) {
	s.addressing = oneOf("auto", "virtual", "path", "cname")
	s.sign = oneOf("v4", "v2", "v1")
	text(flags, &s.region, "region", "ID", "the bucket's region, such as cn-hangzhou (default: env OSS_REGION, or asked of the bucket)")
	text(flags, &s.endpoint, "endpoint", "URL", "where OSS answers, https unless said (default: made from the region; env OSS_ENDPOINT)")
	flags.BoolVar(&s.internal, "internal", false, "the region's endpoint for ECS and other Alibaba Cloud machines")
	flags.BoolVar(&s.accelerate, "accelerate", false, "the transfer acceleration endpoint (outside China: --endpoint oss-accelerate-overseas.aliyuncs.com)")
	flags.BoolVar(&s.dualstack, "dualstack", false, "the region's endpoint that has IPv6")
	flags.Var(&s.addressing, "addressing", "where the bucket's name goes; auto: into the host, into the path for an IP address")
	flags.Var(&s.sign, "sign", "version of the request signature")
	text(flags, &s.source, "credentials", "SOURCE", "the one place to take credentials from: "+strings.Join(credentials.Names(), ", ")+" (default: the first that has some)")
	text(flags, &s.profile, "profile", "NAME", "the profile of the credentials files to use")
	text(flags, &s.ramRole, "ram-role", "NAME", "the ECS instance's RAM role to use, or auto")
	flags.BoolVar(&s.anonymous, "anonymous", false, "sign nothing: for public buckets")
	text(flags, &s.caBundle, "ca-bundle", "FILE", "certificates (PEM) to trust besides the system's")
	text(flags, new(string), configFlag, "FILE", "more settings, one name = value on a line (default: ~/.config/ossfs.conf, then /etc/ossfs.conf)")
}

// text defines a flag for a text; kind names it in the help.
func text(flags *pflag.FlagSet, p *string, name, kind, usage string) {
	flags.Var(&textValue{p, kind}, name, usage)
}

// logging is where a daemon's words go.
type logging struct {
	level  choiceValue
	file   string
	format choiceValue
}

func (s *logging) define(flags *pflag.FlagSet) {
	s.level = choiceValue{value: "info", words: []string{"debug", "info", "warn", "error"}}
	s.format = oneOf("text", "json")
	flags.Var(&s.level, "log-level", "what is logged; debug: every request to OSS, too")
	text(flags, &s.file, "log-file", "FILE", "log here; re-opened on SIGHUP (default: the journal or syslog as a daemon, else stderr)")
	flags.Var(&s.format, "log-format", "how it is logged")
}

// settings is everything a mount can be told.
type settings struct {
	connection
	logging

	foreground bool
	readOnly   bool
	allowOther bool
	kernel     []string // options for the kernel: nosuid, noexec, ...

	uid, gid                 ownerValue
	fileMode, dirMode, umask modeValue

	stateDir          string
	memory, stageSize sizeValue
	attrTTL           durationValue
	writeBack         writeBackValue
	fsync             choiceValue
	onConflict        choiceValue
	singlePut         sizeValue
	storageClass      string
	acl, sse, sseKey  string
	tags              string
	noHead            bool
	metrics           string
	debug             bool

	fake, sloppy bool // mount(8): only check; pass over unknown options
}

const (
	defaultAttrTTL   = 60 * time.Second
	defaultWriteBack = time.Second
	maxSinglePut     = 5 << 30
	leastMemory      = 16 << 20  // bytes; below it no window is of use
	leastStageSize   = 1 << 20   // bytes
	leastSinglePut   = 100 << 10 // bytes; the smallest part that OSS takes
)

func (s *settings) define(flags *pflag.FlagSet) {
	s.connection.define(flags)
	s.gid.group = true
	s.fileMode, s.dirMode = 0o644, 0o755
	s.attrTTL = durationValue(defaultAttrTTL)
	s.writeBack.delay = defaultWriteBack
	s.fsync = oneOf("bucket", "local")
	s.onConflict = oneOf("keep-both", "overwrite", "fail")

	flags.BoolVarP(&s.foreground, "foreground", "f", false, "stay in the foreground")
	flags.VarP(&optionsValue{settings: s, flags: flags}, optionsFlag, "o", "mount options (ro, allow_other, nosuid, _netdev, ...) and every long flag")
	flags.BoolVar(&s.readOnly, "read-only", false, "refuse every change")
	flags.BoolVar(&s.allowOther, "allow-other", false, "let other users in, as the modes allow")
	flags.Var(&s.uid, "uid", "owner of what carries none of its own (default: the mounting user)")
	flags.Var(&s.gid, "gid", "group of what carries none of its own (default: the mounting user's)")
	flags.Var(&s.fileMode, "file-mode", "mode of files that carry none of their own")
	flags.Var(&s.dirMode, "dir-mode", "mode of directories that carry none of their own")
	flags.Var(&s.umask, "umask", "bits cleared from every mode that is shown")
	text(flags, &s.stateDir, "state-dir", "DIR", "journal, staged files and attribute index are kept below this (default: /var/lib/ossfs for root, else $XDG_STATE_HOME/ossfs)")
	flags.Var(&s.memory, "memory", "one budget for ranges, windows and upload buffers (default: a quarter of RAM, at most 2GiB)")
	flags.Var(&s.stageSize, "stage-size", "staged data not yet sent (default: 80 % of what the state directory's disk has free)")
	flags.Var(&s.attrTTL, "attr-ttl", "how long what was listed may be believed")
	flags.Var(&s.writeBack, "write-back", "how long after the last close an upload starts; off: close() uploads")
	flags.Var(&s.fsync, "fsync", "what fsync promises: the bucket has it, or the local disk")
	flags.Var(&s.onConflict, "on-conflict", "when another client changed the object that an upload would replace")
	flags.Var(&s.singlePut, "single-put", "files up to this size are sent by one request, larger ones in parts (default: 16MiB)")
	s.defineNewObjects(flags)
	flags.BoolVar(&s.noHead, "no-head", false, "never ask for attributes that a listing does not have: faster on buckets that carry none")
	s.logging.define(flags)
	text(flags, &s.metrics, "metrics", "ADDR", "serve Prometheus /metrics and net/http/pprof here, on loopback unless a host is given")
	flags.BoolVar(&s.debug, "debug", false, "log every request of the kernel; implies --log-level debug")
	flags.BoolVar(&s.fake, "fake", false, "check the command line and mount nothing")
	flags.BoolVar(&s.sloppy, "sloppy", false, "pass over mount options that do not exist")
	for _, name := range []string{"fake", "sloppy"} {
		flags.Lookup(name).Hidden = true // only mount(8) asks for them
	}
}

// check finds what no single flag could refuse.
func (s *settings) check() error {
	if err := s.connection.check(); err != nil {
		return err
	}
	for _, size := range []struct {
		flag         string
		value, least sizeValue
	}{
		{"memory", s.memory, leastMemory},
		{"stage-size", s.stageSize, leastStageSize},
		{"single-put", s.singlePut, leastSinglePut},
	} {
		if size.value != 0 && size.value < size.least {
			return usagef("--%s %s: want at least %s (a number without a unit is bytes)", size.flag, size.value.String(), size.least.String())
		}
	}
	if s.singlePut > maxSinglePut {
		return usagef("--single-put %s: one PutObject stores at most 5GiB", formatSize(int64(s.singlePut)))
	}
	_, err := s.newObjects()
	return err
}

func (s *connection) check() error {
	switch {
	case s.anonymous && (s.profile != "" || s.ramRole != ""):
		return usagef("--anonymous signs nothing: leave --profile and --ram-role away")
	case s.source != "" && !slices.Contains(credentials.Names(), s.source):
		return usagef("--credentials %s: want %s", s.source, strings.Join(credentials.Names(), ", "))
	case s.source != "" && (s.anonymous || s.ramRole != ""):
		return usagef("--credentials, --ram-role and --anonymous: choose one source of credentials")
	case s.profile != "" && s.ramRole != "":
		return usagef("--profile and --ram-role: choose one source of credentials")
	case s.internal && s.accelerate:
		return usagef("--internal and --accelerate: choose one endpoint")
	case s.endpoint != "" && (s.internal || s.accelerate || s.dualstack):
		return usagef("--endpoint names the endpoint: leave --internal, --accelerate and --dualstack away")
	}
	return s.checkEndpointName()
}

// checkEndpointName refuses a region where an endpoint is wanted: ossfs 1.x and s3fs call the region so.
func (s *connection) checkEndpointName() error {
	region, internal := strings.CutSuffix(strings.TrimPrefix(s.endpoint, "oss-"), "-internal")
	switch {
	case !isRegionName(region):
		return nil
	case internal:
		return usagef("--endpoint %s: that is a region: give it with --region %s --internal", s.endpoint, region)
	default:
		return usagef("--endpoint %s: that is a region: give it with --region %s", s.endpoint, region)
	}
}

// isRegionName reports whether a text is a region's name and so no host's.
func isRegionName(s string) bool {
	area, rest, _ := strings.Cut(s, "-")
	areas := []string{"cn", "ap", "us", "eu", "me", "na", "sa"}
	return slices.Contains(areas, area) && rest != "" && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// flagError puts a failed parse into one line that says what to write instead.
func flagError(command string, flags *pflag.FlagSet, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		if unknown.GetSpecifiedShortnames() != "" {
			if advice, ok := adviceFor(unknown.GetSpecifiedName()); ok {
				return usagef("no such flag -%s: %s", unknown.GetSpecifiedName(), advice)
			}
			return usagef("no such flag -%s: ossfs help %s lists them", unknown.GetSpecifiedName(), command)
		}
		return unknownName("flag --", unknown.GetSpecifiedName(), command, longNames(flags))
	case errors.As(err, &missing):
		return usagef("--%s needs a value: --%s %s", missing.GetFlag().Name, missing.GetFlag().Name, valueName(missing.GetFlag()))
	case errors.As(err, &invalid):
		return valueError("--"+invalid.GetFlag().Name+" "+quoteIfNeeded(invalid.GetValue()), invalid.GetFlag(), invalid.Unwrap())
	case errors.As(err, &syntax):
		return usagef("%s is no flag: ossfs help %s lists them", syntax.GetSpecifiedFlag(), command)
	}
	var own *failure
	if errors.As(err, &own) {
		return err
	}
	return usagef("%w", err)
}

// valueError says what is wrong with a flag's or an option's value, written as the user wrote it.
func valueError(written string, flag *pflag.Flag, cause error) error {
	var own *failure
	if errors.As(cause, &own) { // -o speaks for its options itself
		return cause
	}
	if flag.Value.Type() == "bool" {
		cause = errors.New("it takes no value, or true or false")
	}
	return usagef("%s: %w", written, cause)
}

// unknownName is the error for a flag or option that does not exist: what it is called here, when it
// belongs to another bucket mount, or the nearest that does exist.
func unknownName(kind, name, command string, known []string) error {
	shown := kind + name
	if option := legacyName(name); isGeneric(option) {
		return usagef("no such %s: it is a mount option: -o %s", shown, option)
	}
	if advice, ok := adviceFor(name); ok {
		return usagef("no such %s: %s", shown, advice)
	}
	if near := nearest(strings.ReplaceAll(name, "_", "-"), known); near != "" {
		prefix := kind[strings.LastIndex(kind, " ")+1:]
		return usagef("no such %s: did you mean %s%s?", shown, prefix, near)
	}
	return usagef("no such %s: ossfs help %s lists them", shown, command)
}

func longNames(flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != optionsFlag {
			names = append(names, f.Name)
		}
	})
	return names
}

// valueName is the placeholder of a flag's value.
func valueName(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	return name
}

func quoteIfNeeded(value string) string {
	if value == "" || strings.ContainsAny(value, " \t\n\"") {
		return fmt.Sprintf("%q", value)
	}
	return value
}
