package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

const (
	configFlag      = "config"
	systemConfig    = "/etc/ossfs.conf"
	userConfigName  = "ossfs.conf"
	maxConfigBytes  = 1 << 20
	configTrueValue = "true"
)

// applyConfig sets the flags that neither the command line nor the environment has set, from the file
// that --config names, or from the user's file and then the system's. A file has the mount's flags as
// "name = value" or "name" on lines of their own; "#" begins a comment.
func applyConfig(flags *pflag.FlagSet) error {
	named := flags.Lookup(configFlag)
	if named == nil || named.Hidden {
		return nil
	}
	if path := named.Value.String(); path != "" {
		return applyConfigFile(flags, path, true)
	}
	for _, path := range configPlaces() {
		if err := applyConfigFile(flags, path, false); err != nil {
			return err
		}
	}
	return nil
}

// configPlaces are the files that are read unasked, the one that counts more first.
func configPlaces() []string {
	var places []string
	if dir, err := os.UserConfigDir(); err == nil {
		places = append(places, filepath.Join(dir, userConfigName))
	}
	return append(places, systemConfig)
}

func applyConfigFile(flags *pflag.FlagSet, path string, mustExist bool) error {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !mustExist:
		return nil
	case err != nil:
		return usagef("configuration %s: %w", path, reason(err))
	case len(text) > maxConfigBytes:
		return usagef("configuration %s: it is longer than %d bytes", path, maxConfigBytes)
	}
	known := newFlagSet(mountName)
	new(settings).define(known)
	seen := map[string]bool{}
	number := 0
	for entry := range strings.Lines(string(text)) {
		number++
		entry = withoutComment(entry)
		name, value, hasValue := strings.Cut(entry, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == "" && !hasValue {
			continue
		}
		place := fmt.Sprintf("%s:%d: ", path, number)
		if err := applyConfigEntry(flags, known, seen, configEntry{place, name, value, hasValue}); err != nil {
			return err
		}
	}
	return nil
}

// withoutComment cuts at a "#" that begins the line or follows a blank: a value may have one inside.
func withoutComment(entry string) string {
	for i := range len(entry) {
		if entry[i] == '#' && (i == 0 || entry[i-1] == ' ' || entry[i-1] == '\t') {
			return entry[:i]
		}
	}
	return entry
}

// configEntry is a line of a configuration.
type configEntry struct {
	place, name, value string
	hasValue           bool
}

// applyConfigEntry sets a flag that is still free. Names are checked against the mount's flags, so that
// one file serves every command.
func applyConfigEntry(flags, known *pflag.FlagSet, seen map[string]bool, e configEntry) error {
	f := known.Lookup(e.name)
	if e.name == "" {
		return usagef("%sa name is missing before the =", e.place)
	}
	if f == nil || f.Hidden || f.Name == configFlag || f.Name == optionsFlag {
		return usagef("%s%w", e.place, unknownName("key ", e.name, mountName, longNames(known)))
	}
	if !e.hasValue {
		if f.Value.Type() != "bool" {
			return usagef("%s%s needs a value: %s = %s", e.place, e.name, e.name, valueName(f))
		}
		e.value = configTrueValue
	}
	if seen[f.Name] {
		return usagef("%s%s stands twice", e.place, e.name)
	}
	seen[f.Name] = true
	mine := flags.Lookup(f.Name)
	if mine == nil || mine.Changed {
		return nil
	}
	return setFrom(flags, mine, e.place+e.name+" = ", e.value)
}
