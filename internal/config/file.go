package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"
)

// File is the source that a deployment uses: a YAML file of host → property →
// value, with the environment above it (M3O_<HOST>_<PROPERTY>).
type File struct {
	file map[string]string // canonical "host/property" → text
	env  map[string]string // canonical "host+property" → text
	used map[string]bool
}

// envPrefix starts every variable of ours.
const envPrefix = "M3O_"

// Load reads the config file (an empty path means none) and the environment,
// given as os.Environ gives it. A value that is a list or a mapping is taken as
// its JSON text.
func Load(path string, environ []string) (*File, error) {
	f := &File{file: map[string]string{}, env: map[string]string{}, used: map[string]bool{}}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if rest, ok := strings.CutPrefix(name, envPrefix); ok {
			f.env[canonical(rest)] = value
		}
	}
	if path == "" {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	var hosts map[string]map[string]any
	if err := yaml.Unmarshal(text, &hosts); err != nil {
		return nil, fmt.Errorf("config file %s: %w (it maps hosts to properties to values)", path, err)
	}
	for host, properties := range hosts {
		for property, value := range properties {
			plain, err := textOf(value)
			if err != nil {
				return nil, fmt.Errorf("config file %s: %s.%s: %w", path, host, property, err)
			}
			f.file[canonical(host)+"/"+canonical(property)] = plain
		}
	}
	return f, nil
}

func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case map[string]any, map[any]any, []any:
		b, err := json.Marshal(v)
		return string(b), err
	}
	return fmt.Sprint(value), nil
}

// Lookup finds a property, first in the environment, then in the file.
func (f *File) Lookup(host, property string) (string, bool) {
	key := canonical(host) + "/" + canonical(property)
	f.used[key] = true
	if value, ok := f.env[canonical(host)+canonical(property)]; ok {
		return value, true
	}
	value, ok := f.file[key]
	return value, ok
}

// Unused names the entries of the file that no property has asked for, so that a
// misspelt one is noticed at start.
func (f *File) Unused() []string {
	var unused []string
	for key := range f.file {
		if !f.used[key] {
			unused = append(unused, strings.Replace(key, "/", ".", 1))
		}
	}
	return unused
}
