// Package locale owns the localized texts of a service: strings.yaml among its
// resources, and which of a key's texts the languages of a caller ask for.
//
// A text is in the language asked for or it is the default; a language that is
// merely close is not taken. Placeholders are the caller's: fmt.Sprintf(text, …).
//
// Services and what starts them import locale; it imports nothing of ours.
package locale

import (
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// Texts are the texts of a service, each in some languages. They are safe for
// concurrent use; nil has none.
type Texts struct {
	entries map[string]entry
}

// entry is a key's texts. The first is its fallback; the others are in the languages
// of the choice.
type entry struct {
	texts  []string
	choice *choice
}

// Text is the text of key for a caller who sent languages, the value of an
// Accept-Language header (RFC 9110 section 12.5.4; several of them joined by commas).
// It is in the language that the caller likes best of those that key has: fr-CA takes
// fr, pt takes pt-BR. When none is wanted it is the key's default, in its absence the
// text in en, and in the absence of that, or of the key, the key itself.
func (t *Texts) Text(languages, key string) string {
	if t == nil {
		return key
	}
	e, ok := t.entries[key]
	if !ok {
		return key
	}
	return e.texts[e.choice.of(languages)]
}

// Bounds on what a choice remembers, since callers write the headers.
const (
	maxKnown  = 1024 // headers
	maxHeader = 256  // bytes of a header; a longer one is read each time
)

// choice is among the languages that some keys have texts in, and remembers what it
// chose for which header.
type choice struct {
	tags    []language.Tag // of the texts; that of the fallback means nothing
	matcher language.Matcher
	any     int // the text for whom every language will do

	mu    sync.RWMutex
	known map[string]int
}

// newChoice is the choice among a fallback, which says whether there is a text in it,
// and texts in languages.
func newChoice(languages []language.Tag, fallback bool) *choice {
	c := &choice{tags: append([]language.Tag{language.Und}, languages...), known: map[string]int{}}
	if len(languages) > 0 {
		c.matcher = language.NewMatcher(languages)
	}
	if !fallback {
		c.any = min(1, len(languages))
	}
	return c
}

// of is which text to take for a header.
func (c *choice) of(header string) int {
	if header == "" || len(c.tags) == 1 {
		return 0
	}
	c.mu.RLock()
	text, ok := c.known[header]
	c.mu.RUnlock()
	if ok {
		return text
	}
	text = c.make(parseAccept(header))
	if len(header) <= maxHeader {
		c.remember(strings.Clone(header), text)
	}
	return text
}

func (c *choice) remember(header string, text int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[header] = text
}

// make finds the text for the best of the ranges that has one.
func (c *choice) make(ranges []langRange) int {
	for _, r := range ranges {
		if r.weight == 0 {
			break
		}
		text := c.any
		if !r.any {
			text = c.match(r.tag)
			if text == 0 {
				continue
			}
		}
		if !refused(ranges, c.tags[text]) {
			return text
		}
	}
	return 0
}

// match is the text in a language, 0 for none. The matcher also knows languages whose
// speakers mostly understand each other, such as Danish and Norwegian; those are not
// taken, and neither is a script that the language's readers cannot read.
func (c *choice) match(wanted language.Tag) int {
	_, i, confidence := c.matcher.Match(wanted)
	if confidence == language.No || base(wanted) != base(c.tags[i+1]) {
		return 0
	}
	return i + 1
}

func base(tag language.Tag) language.Base {
	b, _ := tag.Base()
	return b
}
