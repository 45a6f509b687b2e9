package rule

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// interval is a range of values; a missing bound is open-ended.
type interval[T cmp.Ordered] struct {
	low, high       *T
	lowOut, highOut bool // the bound itself is excluded
}

func (i interval[T]) holds(v T) bool {
	if i.low != nil && (v < *i.low || i.lowOut && v == *i.low) {
		return false
	}
	return i.high == nil || v < *i.high || !i.highOut && v == *i.high
}

func rangeChecker[T cmp.Ordered](spec string, parse func(string) (T, error), empty func(interval[T]) bool, what string) (func(string) error, error) {
	var limits interval[T]
	if spec != "" {
		var err error
		if limits, err = parseInterval(spec, parse, what); err != nil {
			return nil, err
		}
		if empty(limits) {
			return nil, fmt.Errorf("no value is in the range %s", spec)
		}
	}
	return func(value string) error {
		v, err := parse(value)
		if err != nil {
			return fmt.Errorf("is not %s", what)
		}
		if !limits.holds(v) {
			return fmt.Errorf("is not in the range %s", spec)
		}
		return nil
	}, nil
}

func parseInterval[T cmp.Ordered](spec string, parse func(string) (T, error), what string) (i interval[T], err error) {
	n := len(spec)
	if n < 3 || !strings.ContainsRune("[(", rune(spec[0])) || !strings.ContainsRune("])", rune(spec[n-1])) {
		return i, fmt.Errorf("a range is written like [0,60] or (0,60), with round brackets around what is excluded")
	}
	low, high, ok := strings.Cut(spec[1:n-1], ",")
	if !ok || strings.ContainsAny(spec, " \t") {
		return i, fmt.Errorf("a range has two bounds with a comma between them and no blanks")
	}
	i.lowOut, i.highOut = spec[0] == '(', spec[n-1] == ')'
	if i.low, err = bound(low, parse, what); err != nil {
		return i, err
	}
	i.high, err = bound(high, parse, what)
	return i, err
}

func bound[T any](text string, parse func(string) (T, error), what string) (*T, error) {
	if text == "" {
		return nil, nil
	}
	v, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("the bound %q is not %s", text, what)
	}
	return &v, nil
}

// discrete says whether an interval of whole numbers is empty: between (5,6) there is nothing.
func discrete(i interval[int64]) bool {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if i.low != nil {
		if low = *i.low; i.lowOut {
			if low == math.MaxInt64 {
				return true
			}
			low++
		}
	}
	if i.high != nil {
		if high = *i.high; i.highOut {
			if high == math.MinInt64 {
				return true
			}
			high--
		}
	}
	return low > high
}

func continuous(i interval[float64]) bool {
	if i.low == nil || i.high == nil {
		return false
	}
	return *i.low > *i.high || *i.low == *i.high && (i.lowOut || i.highOut)
}

// parseFloat refuses NaN and the infinities, which would slip through ranges.
func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}
