package spec

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// value reads one field into its slot.
func (p *parser) value(f Field, n *yaml.Node, slot any) *mistake {
	switch slot := slot.(type) {
	case *bool:
		return readBool(f, n, slot)
	case *[]float64:
		return readNumbers(f, n, slot)
	case *map[string]int64:
		*slot = map[string]int64{}
		p.mapping(n, f.Name, func(key, value *yaml.Node) {
			p.publish[f.Name+"."+key.Value] = placeOf(key)
			p.integer(key, value, *slot)
		})
		return nil
	case *map[string]json.RawMessage:
		*slot = map[string]json.RawMessage{}
		p.mapping(n, f.Name, func(key, value *yaml.Node) {
			p.publish[f.Name+"."+key.Value] = placeOf(key)
			p.examples[key.Value] = value
			p.free(key, value, *slot)
		})
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		return wrong(0, "E-TYPE", "%s must be a text, not %s", f.Name, kindOf(n))
	}
	text := n.Value
	if n.ShortTag() == "!!null" {
		text = ""
	}
	if span, ok := slot.(*time.Duration); ok {
		return readSpan(f, text, span)
	}
	return readText(f, text, slot.(*string))
}

func readText(f Field, text string, slot *string) *mistake {
	switch {
	case f.Name == "description":
		text = clean(text)
	case len(f.Values) > 0:
		if text = strings.ToLower(text); text == "" {
			text = f.Values[0]
		}
		if !slices.Contains(f.Values, text) {
			return wrong(0, f.Class, "%s may not be %q", f.Name, clip(text)).or("one of " + strings.Join(f.Values, ", "))
		}
	}
	*slot = text
	return nil
}

// clean trims a description, cuts trailing blanks of its lines, and makes backquotes apostrophes.
func clean(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "`", "'"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func readBool(f Field, n *yaml.Node, slot *bool) *mistake {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		m := wrong(0, "E-TYPE", "%s must be true or false, not %s", f.Name, kindOf(n))
		if n.Value == "true" || n.Value == "false" {
			m.hint = "write " + n.Value + " without quotes"
		}
		return m
	}
	*slot = strings.EqualFold(n.Value, "true")
	return nil
}

func readSpan(f Field, text string, slot *time.Duration) *mistake {
	class := Class("E-TIMEOUT")
	if f.Name == "interval" {
		class = "E-TICK-INTERVAL"
	}
	d, err := parseSpan(text)
	if err == nil && d > 0 {
		*slot = d
		return nil
	}
	if isLong(text) {
		return wrong(0, class, "%s is longer than a duration can be: %q", f.Name, clip(text)).or("at most 2562047h, which is 292 years")
	}
	m := wrong(0, class, "%s must be a duration above zero, not %q", f.Name, clip(text)).or("such as 15m or 1h30m")
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			m.hint = "write " + strconv.FormatUint(n*24, 10) + "h"
		}
	}
	return m
}

// isLong says whether a text would be a duration above zero if its numbers were smaller.
func isLong(text string) bool {
	if _, err := time.ParseDuration(text); err == nil {
		return false
	}
	small := digits.ReplaceAllString(text, "1")
	d, err := time.ParseDuration(small)
	return err == nil && d > 0
}

var digits = regexp.MustCompile(`[0-9]+`)

func readNumbers(f Field, n *yaml.Node, slot *[]float64) *mistake {
	if n.Kind != yaml.SequenceNode {
		return wrong(0, "E-TYPE", "%s must be a list of numbers, not %s", f.Name, kindOf(n))
	}
	for _, item := range n.Content {
		item = follow(item)
		v, err := strconv.ParseFloat(item.Value, 64)
		if tag := item.ShortTag(); err != nil || tag != "!!int" && tag != "!!float" || math.IsNaN(v) || math.IsInf(v, 0) {
			return wrong(0, "E-TYPE", "%s must hold numbers only", f.Name)
		}
		*slot = append(*slot, v)
	}
	return nil
}

func (p *parser) integer(key, n *yaml.Node, into map[string]int64) {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if errors.Is(err, strconv.ErrRange) && n.Kind == yaml.ScalarNode && v > 0 {
		p.fail(placeOf(n), wrong(0, "E-TYPE", "the value of %s is too large", clip(key.Value)).or("at most "+strconv.Itoa(math.MaxInt64)))
		return
	}
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || v < 0 {
		p.fail(placeOf(n), wrong(0, "E-TYPE", "the value of %s must be a whole number, zero or more", clip(key.Value)))
		return
	}
	into[key.Value] = v
}

func (p *parser) free(key, n *yaml.Node, into map[string]json.RawMessage) {
	budget := 10_000
	v, ok := plain(n, 20, &budget)
	if ok {
		if text, err := json.Marshal(v); err == nil {
			into[key.Value] = text
			return
		}
	}
	p.fail(placeOf(n), wrong(0, "E-TYPE", "the value of %s cannot be written as JSON", clip(key.Value)))
}

// plain is a node as JSON knows it. Depth and budget stop aliases that point at themselves.
func plain(n *yaml.Node, depth int, budget *int) (any, bool) {
	n = follow(n)
	if *budget--; depth == 0 || *budget < 0 {
		return nil, false
	}
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			v, ok := plain(item, depth-1, budget)
			if !ok {
				return nil, false
			}
			list[i] = v
		}
		return list, true
	case yaml.MappingNode:
		members := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := plain(n.Content[i+1], depth-1, budget)
			if !ok {
				return nil, false
			}
			members[follow(n.Content[i]).Value] = v
		}
		return members, true
	}
	return scalar(n)
}

func scalar(n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), true
		}
	}
	return n.Value, true
}
