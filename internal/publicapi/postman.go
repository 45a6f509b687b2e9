package publicapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
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
		Type  string `json:"type,omitempty"`
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
		Body        *collectionBody      `json:"body,omitempty"`
	}
	collectionURL struct {
		Raw      string               `json:"raw"`
		Host     []string             `json:"host"`
		Path     []string             `json:"path"`
		Query    []collectionVariable `json:"query,omitempty"`
		Variable []collectionVariable `json:"variable,omitempty"` // of the path's parameters
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
	for i := range e.document.endpoints {
		at := &e.document.endpoints[i]
		request, err := requestTo(e, at, examples)
		if err != nil {
			return nil, err
		}
		c.Item = append(c.Item, collectionItem{Name: at.name, Request: request})
	}
	return c, nil
}

// requestTo is a call of an endpoint. Only one that takes a body has one.
func requestTo(e *entry, at *endpoint, examples map[string][]example) (r collectionRequest, err error) {
	address := at.route()
	r.Method, _ = address.Address(e.api.Name)
	r.Description, r.Header, r.URL = at.summary, []collectionVariable{}, addressOf(e, at)
	if at.pattern != "" && at.request == nil {
		return r, nil
	}
	r.Header = append(r.Header, collectionVariable{Key: "Content-Type", Value: "application/json", Type: "text"})
	body, err := bodyOf(e, at, examples)
	r.Body = &collectionBody{Mode: "raw", Raw: body}
	return r, err
}

// addressOf is where an endpoint is called, with the parameters to fill in. A query
// has those that are needed.
func addressOf(e *entry, at *endpoint) collectionURL {
	_, path := at.route().Address(e.api.Name)
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if wholeParameter.MatchString(segment) {
			segments[i] = ":" + strings.Trim(segment, "{}")
		}
	}
	u := collectionURL{Raw: "{{baseUrl}}/" + strings.Join(segments, "/"), Host: []string{"{{baseUrl}}"}, Path: segments}
	for _, p := range at.parameter {
		if at.pattern == "" || !p.Required {
			continue
		}
		filled := collectionVariable{Key: p.Name, Value: sampleText(p)}
		switch p.In {
		case openapi3.ParameterInPath:
			u.Variable = append(u.Variable, filled)
		case openapi3.ParameterInQuery:
			u.Query = append(u.Query, filled)
		}
	}
	if len(u.Query) > 0 {
		u.Raw += "?" + queryOf(u.Query)
	}
	return u
}

func queryOf(filled []collectionVariable) string {
	pairs := make([]string, len(filled))
	for i, f := range filled {
		pairs[i] = url.QueryEscape(f.Key) + "=" + url.QueryEscape(f.Value)
	}
	return strings.Join(pairs, "&")
}

// sampleText is a parameter's example, else something of its type.
func sampleText(p *openapi3.Parameter) string {
	value := p.Example
	if value == nil && p.Schema != nil {
		value = sample(p.Schema.Value, 0)
	}
	switch v := value.(type) {
	case []any, map[string]any:
		return "1"
	case string:
		if v == "" {
			return "1"
		}
	case nil:
		return "1"
	}
	return fmt.Sprint(value)
}

// bodyOf is the request of an endpoint's first example, else one made of its schema.
func bodyOf(e *entry, at *endpoint, examples map[string][]example) (string, error) {
	var body any
	for _, key := range slices.Sorted(maps.Keys(examples)) {
		if found, ok := e.document.find(key); ok && found.name == at.name && len(examples[key]) > 0 && len(examples[key][0].Request) > 0 {
			body = examples[key][0].Request
			break
		}
	}
	if body == nil {
		body = madeBody(at)
	}
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write an example of %s: %w", at.name, err)
	}
	return string(text), nil
}

// madeBody has the query's parameters too where these may come in the body.
func madeBody(at *endpoint) any {
	made := sample(at.request, 0)
	members, isObject := made.(map[string]any)
	if !isObject || at.pattern != "" {
		return made
	}
	for name, kind := range at.schema {
		if _, there := members[name]; !there {
			members[name] = emptyOf(kind)
		}
	}
	return members
}
