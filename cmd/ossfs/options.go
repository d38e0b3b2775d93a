package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

var _ pflag.Value = (*optionsValue)(nil)

const optionsFlag = "options"

// optionsValue is -o: each option takes effect where it stands, so that of two that disagree the
// later one counts, be they flags or options.
type optionsValue struct {
	settings *settings
	flags    *pflag.FlagSet
	text     []string
}

func (v *optionsValue) Type() string   { return "opt,opt" }
func (v *optionsValue) String() string { return strings.Join(v.text, ",") }

func (v *optionsValue) Set(s string) error {
	v.text = append(v.text, s)
	for _, option := range splitOptions(s) {
		if err := v.apply(option); err != nil {
			return err
		}
	}
	return nil
}

// splitOptions cuts at commas; a backslash keeps the comma that follows it, as for mount(8).
func splitOptions(s string) []string {
	var list []string
	var word strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case s[i] == ',':
			list = append(list, word.String())
			word.Reset()
		default:
			word.WriteByte(s[i])
		}
	}
	return append(list, word.String())
}

func (v *optionsValue) apply(option string) error {
	name, value, hasValue := strings.Cut(strings.TrimSpace(option), "=")
	if name == "" {
		return nil
	}
	flag := v.flags.Lookup(name)
	switch plain := !hasValue || isForOthers(name); {
	case plain && v.generic(name):
		return nil
	case !plain && flag == nil && isGeneric(name): // ro=false would be ro
		return usagef("mount option %s takes no value", name)
	}
	if flag == nil || flag.Name == optionsFlag {
		if v.settings.sloppy {
			return nil
		}
		return unknownName("mount option ", name, "mount", append(genericNames(), longNames(v.flags)...))
	}
	if !hasValue {
		if flag.Value.Type() != "bool" {
			return usagef("mount option %s needs a value: %s=%s", name, name, valueName(flag))
		}
		value = "true"
	}
	if err := v.flags.Set(name, value); err != nil {
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) {
			return valueError("mount option "+name+"="+value, flag, invalid.Unwrap())
		}
		return err
	}
	return nil
}

// generic takes the options that every filesystem has: those of mount(8) and fstab(5), and those that
// libfuse programs are given.
func (v *optionsValue) generic(name string) bool {
	switch name {
	case "ro":
		v.settings.readOnly = true
	case "rw":
		v.settings.readOnly = false
	case "allow_other":
		v.settings.allowOther = true
	case "nosuid", "suid", "nodev", "dev", "noexec", "exec", "sync", "async", "dirsync",
		"noatime", "atime", "relatime", "norelatime", "strictatime", "nodiratime", "diratime", "lazytime", "nolazytime":
		v.settings.kernel = append(v.settings.kernel, name)
	default:
		return isForOthers(name)
	}
	return true
}

// isGeneric reports whether -o takes a name that is no flag.
func isGeneric(name string) bool {
	return (&optionsValue{settings: new(settings)}).generic(name)
}

// isForOthers reports whether an option is meant for mount(8), systemd or libfuse and asks nothing of
// us: what default_permissions and big_writes ask for is always so.
func isForOthers(name string) bool {
	switch name {
	case "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev", "silent", "loud",
		"default_permissions", "nonempty", "big_writes", "fsname", "subtype", "comment", "setuid", "remount_on_failure":
		return true
	}
	return strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-")
}

func genericNames() []string {
	var names []string
	for _, o := range genericOptions() {
		names = append(names, strings.Fields(o.Names)...)
	}
	return names
}
