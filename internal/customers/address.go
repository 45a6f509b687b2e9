package customers

import (
	"encoding/json"
	"fmt"
	"regexp"

	"m3o/internal/fault"
)

// lists are the operator's patterns of who may sign up.
type lists struct{ allow, block []*regexp.Regexp }

func newLists(allow, block string) (l lists, err error) {
	if l.allow, err = patterns("AllowList", allow); err != nil {
		return lists{}, err
	}
	l.block, err = patterns("BlockList", block)
	return l, err
}

// patterns compiles a JSON array of regular expressions; errors name the one at fault.
func patterns(name, text string) ([]*regexp.Regexp, error) {
	var sources []string
	if err := json.Unmarshal([]byte(text), &sources); err != nil {
		return nil, fmt.Errorf("config customers.%s: want a JSON array of regular expressions: %w", name, err)
	}
	compiled := make([]*regexp.Regexp, len(sources))
	for i, source := range sources {
		re, err := regexp.Compile(source)
		if err != nil {
			return nil, fmt.Errorf("config customers.%s: entry %d, %q: %w", name, i+1, source, err)
		}
		compiled[i] = re
	}
	return compiled, nil
}

// check refuses an address that is on the block list, or not on an allow list that has entries.
func (l lists) check(email string) error {
	if matchesAny(l.block, email) || len(l.allow) > 0 && !matchesAny(l.allow, email) {
		return fault.New(fault.Forbidden, "this e-mail address cannot sign up here")
	}
	return nil
}

func matchesAny(res []*regexp.Regexp, text string) bool {
	for _, re := range res {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}
