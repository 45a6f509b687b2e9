package publicapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The parts of a Postman collection, format v2.1.0
// (https://schema.getpostman.com/json/collection/v2.1.0/collection.json), that we
// write.
type (
	collection struct {
		Info     collectionInfo       `json:"info"`
		Auth     collectionAuth       `json:"auth"`
		Variable []collectionVariable `json:"variable"`
		Item     []collectionItem     `json:"item"`
	}
	collectionInfo struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Schema      string `json:"schema"`
	}
	collectionAuth struct {
		Type   string               `json:"type"`
		Bearer []collectionVariable `json:"bearer"`
	}
	collectionVariable struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		Type  string `json:"type"`
	}
	collectionItem struct {
		Name    string            `json:"name"`
		Request collectionRequest `json:"request"`
	}
	collectionRequest struct {
		Method      string               `json:"method"`
		Description string               `json:"description"`
		Header      []collectionVariable `json:"header"`
		URL         collectionURL        `json:"url"`
		Body        collectionBody       `json:"body"`
	}
	collectionURL struct {
		Raw  string   `json:"raw"`
		Host []string `json:"host"`
		Path []string `json:"path"`
	}
	collectionBody struct {
		Mode string `json:"mode"`
		Raw  string `json:"raw"`
	}
)

// collectionOf makes a collection of an API as callers reach it here: one request
// an endpoint, with the address and the key as variables to fill in.
func collectionOf(e *entry) (*collection, error) {
	c := &collection{
		Info: collectionInfo{Name: e.api.DisplayName, Description: e.api.Description, Schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
		Auth: collectionAuth{Type: "bearer", Bearer: []collectionVariable{{Key: "token", Value: "{{apiKey}}", Type: "string"}}},
		Variable: []collectionVariable{
			{Key: "baseUrl", Value: "http://localhost:8080", Type: "string"},
			{Key: "apiKey", Value: "", Type: "string"},
		},
	}
	var examples map[string][]example
	if e.api.ExamplesJSON != "" {
		if err := json.Unmarshal([]byte(e.api.ExamplesJSON), &examples); err != nil {
			return nil, fmt.Errorf("read the examples of %s: %w", e.api.Name, err)
		}
	}
	for _, at := range e.document.endpoints {
		body, err := bodyOf(e, at, examples)
		if err != nil {
			return nil, err
		}
		_, last, _ := strings.Cut(at.name, ".")
		path := []string{"v1", e.api.Name, last}
		c.Item = append(c.Item, collectionItem{Name: at.name, Request: collectionRequest{
			Method: at.method, Description: at.summary,
			Header: []collectionVariable{{Key: "Content-Type", Value: "application/json", Type: "text"}},
			URL:    collectionURL{Raw: "{{baseUrl}}/" + strings.Join(path, "/"), Host: []string{"{{baseUrl}}"}, Path: path},
			Body:   collectionBody{Mode: "raw", Raw: body},
		}})
	}
	return c, nil
}

// bodyOf is the request of an endpoint's first example, else its members with
// empty values.
func bodyOf(e *entry, at endpoint, examples map[string][]example) (string, error) {
	var body any
	for _, key := range slices.Sorted(maps.Keys(examples)) {
		if found, ok := e.document.find(e.api.Name, key); ok && found.name == at.name && len(examples[key]) > 0 && len(examples[key][0].Request) > 0 {
			body = examples[key][0].Request
			break
		}
	}
	if body == nil {
		members := map[string]any{}
		for name, kind := range at.schema {
			members[name] = emptyOf(kind)
		}
		body = members
	}
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write an example of %s: %w", at.name, err)
	}
	return string(text), nil
}

func emptyOf(kind string) any {
	switch kind {
	case "integer", "number":
		return 0
	case "boolean":
		return false
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	return ""
}
