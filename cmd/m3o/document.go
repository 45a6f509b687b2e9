package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// largestDocument is what /publicapi/Publish takes, in bytes of JSON.
const largestDocument = 1 << 20

// documentJSON is a document in YAML or JSON as compact JSON. In YAML, keys are texts
// (responses have numbers), dates stay as they are written, and so do numbers.
func documentJSON(text []byte) ([]byte, error) {
	if json.Valid(text) {
		var compact bytes.Buffer
		err := json.Compact(&compact, text)
		return compact.Bytes(), err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("is neither JSON nor YAML: %s", first)
	}
	textsAreTexts(&node)
	c := converter{}
	if err := c.value(&node); err != nil {
		return nil, err
	}
	return c.out.Bytes(), nil
}

// textsAreTexts reads the versions and the title as texts, though 1.0 looks like a
// number.
func textsAreTexts(document *yaml.Node) {
	if len(document.Content) == 0 {
		return
	}
	root := document.Content[0]
	info := member(root, "info")
	for _, text := range []*yaml.Node{member(root, "openapi"), member(info, "version"), member(info, "title")} {
		if text != nil && text.Kind == yaml.ScalarNode {
			text.Tag = "!!str"
		}
	}
}

// member is the value of a key, nil when there is none.
func member(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// deepestDocument bounds the nesting: an alias may be of what it is in.
const deepestDocument = 200

// converter writes YAML as JSON. What aliases repeat counts each time, so that a small
// file cannot become a large document.
type converter struct {
	out   bytes.Buffer
	depth int
}

func (c *converter) value(n *yaml.Node) error {
	if c.out.Len() > largestDocument {
		return fmt.Errorf("is larger than %d bytes as JSON", largestDocument)
	}
	if c.depth++; c.depth > deepestDocument {
		return fmt.Errorf("line %d: is nested too deeply", n.Line)
	}
	defer func() { c.depth-- }()
	switch n.Kind {
	case yaml.DocumentNode:
		return c.value(n.Content[0])
	case yaml.AliasNode:
		return c.value(n.Alias)
	case yaml.SequenceNode:
		return c.list(n)
	case yaml.MappingNode:
		return c.object(n)
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return errors.New("is empty")
}

func (c *converter) list(n *yaml.Node) error {
	c.out.WriteByte('[')
	for i, member := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.value(member); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

func (c *converter) object(n *yaml.Node) error {
	c.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return fmt.Errorf("line %d: a key must be a text", key.Line)
		}
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.text(key.Value); err != nil {
			return err
		}
		c.out.WriteByte(':')
		if err := c.value(n.Content[i+1]); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

func (c *converter) scalar(n *yaml.Node) error {
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		c.out.WriteString("null")
		return nil
	case tag == "!!bool":
		c.out.WriteString(strings.ToLower(n.Value))
		return nil
	case (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)):
		c.out.WriteString(n.Value)
		return nil
	}
	return c.text(n.Value)
}

func (c *converter) text(s string) error {
	quoted, err := json.Marshal(s)
	c.out.Write(quoted)
	return err
}
