package main

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

var (
	_ pflag.Value = (*sizeValue)(nil)
	_ pflag.Value = (*durationValue)(nil)
	_ pflag.Value = (*writeBackValue)(nil)
	_ pflag.Value = (*modeValue)(nil)
	_ pflag.Value = (*ownerValue)(nil)
	_ pflag.Value = (*textValue)(nil)
	_ pflag.Value = (*choiceValue)(nil)
)

// sizeValue is a number of bytes; 0 leaves the default.
type sizeValue int64

func (v *sizeValue) Type() string { return "SIZE" }

func (v *sizeValue) String() string {
	if *v == 0 {
		return ""
	}
	return formatSize(int64(*v))
}

func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	*v = sizeValue(n)
	return nil
}

// parseSize reads 64MiB, 1G, 1.5GiB, 2GB, 4096. As in coreutils, K, M, G, T and KiB ... are powers of
// 1024, KB ... are powers of 1000. The result is in bytes and above 0.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToUpper(strings.TrimSpace(s[len(digits):]))
	factor, ok := sizeUnit(unit)
	number, parsed := new(big.Rat).SetString(digits)
	if !ok || !parsed || digits == "" || strings.ContainsAny(digits, "/eExX_") {
		return 0, errors.New("want a size such as 64MiB, 1G or 2GB")
	}
	number.Mul(number, new(big.Rat).SetInt64(factor))
	switch {
	case number.Sign() <= 0:
		return 0, errors.New("a size is above 0")
	case number.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) > 0:
		return 0, errors.New("a size is below 8EiB")
	}
	n := new(big.Int).Quo(number.Num(), number.Denom()).Int64()
	return max(n, 1), nil
}

func sizeUnit(unit string) (factor int64, ok bool) {
	if unit == "" || unit == "B" {
		return 1, true
	}
	power := strings.Index("KMGTPE", unit[:1]) + 1
	base := int64(1024)
	switch unit[1:] {
	case "", "IB", "I":
	case "B":
		base = 1000
	default:
		return 0, false
	}
	if power == 0 {
		return 0, false
	}
	factor = 1
	for range power {
		factor *= base
	}
	return factor, true
}

// formatSize writes bytes so that parseSize reads the same number, or nearly, back.
func formatSize(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	value, unit := float64(n), -1
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	text := strconv.FormatFloat(value, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0") + units[unit:unit+1] + "iB"
}

// durationValue is a time.Duration that is not negative.
type durationValue time.Duration

func (v *durationValue) Type() string   { return "DUR" }
func (v *durationValue) String() string { return time.Duration(*v).String() }

func (v *durationValue) Set(s string) error {
	d, err := parseDuration(s)
	if err != nil {
		return err
	}
	*v = durationValue(d)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil && isDigits(s):
		return 0, fmt.Errorf("a duration has a unit: %ss?", s)
	case err != nil:
		return 0, errors.New("want a duration such as 500ms, 30s or 1m30s")
	case d < 0:
		return 0, errors.New("a duration is not negative")
	}
	return d, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// writeBackValue is a duration, or "off": close() uploads.
type writeBackValue struct {
	delay time.Duration
	off   bool
}

func (v *writeBackValue) Type() string { return "DUR|off" }

func (v *writeBackValue) String() string {
	if v.off {
		return "off"
	}
	return v.delay.String()
}

func (v *writeBackValue) Set(s string) error {
	if s == "off" {
		*v = writeBackValue{off: true}
		return nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return fmt.Errorf("%w, or off", err)
	}
	*v = writeBackValue{delay: d}
	return nil
}

// modeValue is permission bits in octal.
type modeValue uint32

func (v *modeValue) Type() string   { return "OCTAL" }
func (v *modeValue) String() string { return fmt.Sprintf("%04o", uint32(*v)) }

func (v *modeValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o7777 {
		return errors.New("want permission bits in octal, such as 0644")
	}
	*v = modeValue(n)
	return nil
}

// ownerValue is a user or a group, by number or by name.
type ownerValue struct {
	id    uint32
	set   bool
	group bool
}

func (v *ownerValue) Type() string {
	if v.group {
		return "GROUP"
	}
	return "USER"
}

func (v *ownerValue) String() string {
	if !v.set {
		return ""
	}
	return strconv.FormatUint(uint64(v.id), 10)
}

func (v *ownerValue) Set(s string) error {
	if id, err := strconv.ParseUint(s, 10, 32); err == nil {
		v.id, v.set = uint32(id), true
		return nil
	}
	number, err := v.lookup(s)
	if err != nil {
		return fmt.Errorf("no such %s: give its number", strings.ToLower(v.Type()))
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return err
	}
	v.id, v.set = uint32(id), true
	return nil
}

func (v *ownerValue) lookup(name string) (string, error) {
	if v.group {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

// textValue is a text whose kind has a name.
type textValue struct {
	p    *string
	kind string
}

func (v *textValue) Type() string       { return v.kind }
func (v *textValue) String() string     { return *v.p }
func (v *textValue) Set(s string) error { *v.p = s; return nil }

// choiceValue is one word of a closed list; the first is the default.
type choiceValue struct {
	value string
	words []string
}

func oneOf(words ...string) choiceValue { return choiceValue{value: words[0], words: words} }

func (v *choiceValue) Type() string   { return strings.Join(v.words, "|") }
func (v *choiceValue) String() string { return v.value }

func (v *choiceValue) Set(s string) error {
	if !slices.Contains(v.words, s) {
		return fmt.Errorf("want %s", strings.Join(v.words, ", "))
	}
	v.value = s
	return nil
}
