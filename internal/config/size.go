package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It is written as a whole number with a unit (100MB, 1GiB) or without (bytes).
type Size int64

// Decimal units are powers of 1000, as on a disk's label; KiB, MiB and GiB are powers of 1024.
const (
	KB Size = 1000
	MB Size = 1000 * KB
	GB Size = 1000 * MB
)

type sizeUnit struct {
	name  string
	bytes Size
}

// sizeUnits lists the decimal units first: of two that fit, String takes the earlier.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"GB", GB},
		{"MB", MB},
		{"kB", KB},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"B", 1},
	}
}

// ParseSize reads a size. Case and a space before the unit do not matter.
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(strings.TrimSpace(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.TrimSpace(text)[len(digits):]
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	if unit == "" {
		return Size(n), nil
	}
	for _, u := range sizeUnits() {
		if !strings.EqualFold(unit, u.name) {
			continue
		}
		if n > math.MaxInt64/int64(u.bytes) {
			return 0, fmt.Errorf("%q is too large", text)
		}
		return Size(n) * u.bytes, nil
	}
	return 0, fmt.Errorf("%q has an unknown unit", text)
}

// String is the shortest exact form: 100MB, 1GiB, 4096B.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	for _, u := range sizeUnits() {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// UnmarshalText reads what ParseSize reads.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	if err != nil {
		return err
	}
	*s = n
	return nil
}

// MarshalText writes what String writes.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
