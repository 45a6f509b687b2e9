package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// File is the source that a deployment uses: a YAML file of host → property →
// value, with the environment above it (M3O_<HOST>_<PROPERTY>). In the file values go
// from general to specific: those below "all" are for every service, those below a
// domain for the hosts in it, and the most specific one wins. It is safe for
// concurrent use.
type File struct {
	path string
	env  map[string]string // canonical "host+property" → text

	mu   sync.Mutex
	file map[string]string // canonical "host/property" → text
	used map[string]bool
}

// envPrefix starts every variable of ours.
const envPrefix = "M3O_"

// Load reads the config file (an empty path means none) and the environment,
// given as os.Environ gives it. A plain value is taken as it is written, one that is a
// list or a mapping as its JSON text.
func Load(path string, environ []string) (*File, error) {
	f := &File{path: path, env: map[string]string{}, used: map[string]bool{}}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if rest, ok := strings.CutPrefix(name, envPrefix); ok {
			f.env[variable(rest)] = value
		}
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the file anew. It does so as a whole: after an error the source
// answers as before.
func (f *File) Reload() error {
	if f.path == "" {
		return nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return fmt.Errorf("config file %s: %w", f.path, err)
	}
	values, err := parseFile(text)
	if err != nil {
		return fmt.Errorf("config file %s: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file = values
	return nil
}

// Lookup finds a property, first in the environment, then in the file.
func (f *File) Lookup(host, property string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, found := "", false
	for _, name := range Covering(host) {
		key := name + "/" + Canonical(property)
		f.used[key] = true
		if text, ok := f.file[key]; ok {
			value, found = text, true
		}
	}
	if text, ok := f.env[variable(host+property)]; ok {
		return text, true
	}
	return value, found
}

// variable makes names of the environment comparable, which cannot have dots.
func variable(name string) string { return strings.ReplaceAll(Canonical(name), ".", "") }

// Unused names the entries of the file that no property has asked for, so that a
// misspelt one is noticed at start.
func (f *File) Unused() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unused []string
	for key := range f.file {
		if !f.used[key] {
			unused = append(unused, strings.Replace(key, "/", ".", 1))
		}
	}
	slices.Sort(unused)
	return unused
}

// parseFile reads host → property → value. Its errors say where, and show no value:
// that may be a secret.
func parseFile(text []byte) (map[string]string, error) {
	values := map[string]string{}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 {
		return values, nil
	}
	err := members(root.Content[0], func(host string, properties *yaml.Node) error {
		return members(properties, func(property string, value *yaml.Node) (err error) {
			key := Canonical(host) + "/" + Canonical(property)
			if _, twice := values[key]; twice {
				return fmt.Errorf("line %d: %s.%s is set twice", value.Line, host, property)
			}
			values[key], err = textOf(value)
			return err
		})
	})
	return values, err
}

// members visits the members of a mapping; null is an empty one.
func members(n *yaml.Node, visit func(key string, value *yaml.Node) error) error {
	if n = follow(n); n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: it maps hosts to properties to values, here is something else", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := visit(n.Content[i].Value, follow(n.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func textOf(n *yaml.Node) (string, error) {
	switch {
	case n.ShortTag() == "!!null":
		return "", nil
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return "", fmt.Errorf("line %d: it is no list and no mapping that JSON can say", n.Line)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("line %d: it is no list and no mapping that JSON can say", n.Line)
	}
	return string(text), nil
}
