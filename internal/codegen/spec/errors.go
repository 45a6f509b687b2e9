package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Class names a sort of mistake, such as E-PATH. The names are stable: tools may match on them.
type Class string

// Error is one mistake (or warning, when its class begins with W-) at a place in a file.
// Line and Col count from 1.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Class   Class  `json:"class"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// Error is "path:line:col: CLASS: text (hint)"; the hint is left out when there is none.
func (e Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Class, e.Message)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Errors are all mistakes of one or more files, those of one file in the order of the file.
type Errors []Error

// Error is one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort puts the mistakes of one file in the order of the file.
func (es Errors) Sort() {
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

// mistake is an error whose place in the file is not known yet: at is the byte offset in the text
// that was looked at.
type mistake struct {
	at      int
	class   Class
	message string
	hint    string
}

func wrong(at int, class Class, format string, args ...any) *mistake {
	return &mistake{at: at, class: class, message: fmt.Sprintf(format, args...)}
}

func (m *mistake) or(hint string) *mistake {
	m.hint = hint
	return m
}
