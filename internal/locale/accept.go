package locale

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Bounds on what is read of a header.
const (
	maxRanges = 32 // the others are those a caller likes least, as people write them
	maxTag    = 64 // bytes; no language has a longer name
)

// langRange is an element of Accept-Language: a language and how much it is liked.
type langRange struct {
	tag    language.Tag
	any    bool // "*" in place of a tag
	weight int  // in thousandths; 0: not at all
}

// parseAccept reads the value of an Accept-Language header, those liked best first and
// otherwise in their order. An element that is no language, or whose weight is none, is
// left out, and the others count.
func parseAccept(header string) []langRange {
	ranges := make([]langRange, 0, 4)
	elements := 0
	for element := range strings.SplitSeq(header, ",") {
		if elements++; elements > maxRanges {
			break
		}
		if r, ok := parseRange(element); ok {
			ranges = append(ranges, r)
		}
	}
	slices.SortStableFunc(ranges, func(a, b langRange) int { return cmp.Compare(b.weight, a.weight) })
	return ranges
}

func parseRange(element string) (r langRange, ok bool) {
	name, parameter, weighed := strings.Cut(element, ";")
	r.weight = 1000
	if weighed {
		if r.weight, ok = parseWeight(parameter); !ok {
			return r, false
		}
	}
	name = trim(name)
	if name == "*" {
		r.any = true
		return r, true
	}
	if len(name) > maxTag {
		return r, false
	}
	r.tag, ok = parseTag(name)
	return r, ok
}

// parseTag reads a language tag. One with a part that no registry knows is taken
// without that part, unless the part is the language.
func parseTag(name string) (language.Tag, bool) {
	tag, err := language.All.Parse(name)
	var unknown language.ValueError
	if err != nil && !errors.As(err, &unknown) {
		return language.Und, false
	}
	_, confidence := tag.Base()
	return tag, confidence == language.Exact
}

// parseWeight reads "q=0.75" in thousandths: no more than one, no more than three
// decimals (RFC 9110 section 12.4.2).
func parseWeight(parameter string) (thousandths int, ok bool) {
	name, value, _ := strings.Cut(parameter, "=")
	if name = trim(name); name != "q" && name != "Q" {
		return 0, false
	}
	whole, decimals, _ := strings.Cut(trim(value), ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	for _, digit := range whole + decimals + "000"[len(decimals):] {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		thousandths = thousandths*10 + int(digit-'0')
	}
	return thousandths, thousandths <= 1000
}

// refused says whether of the ranges that a language falls under the closest has the
// weight 0.
func refused(ranges []langRange, tag language.Tag) bool {
	closest, weight := -1, 1
	for _, r := range ranges {
		if name := r.tag.String(); !r.any && len(name) > closest && under(tag.String(), name) {
			closest, weight = len(name), r.weight
		}
	}
	return weight == 0
}

// under says whether a tag is a range or begins with it (RFC 4647 section 3.3.1).
func under(tag, name string) bool {
	rest, ok := strings.CutPrefix(tag, name)
	return ok && (rest == "" || rest[0] == '-')
}

func trim(text string) string { return strings.Trim(text, " \t") }
