package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// object is a JSON object; it is written with its members sorted.
type object = map[string]any

const schemaRef = "#/components/schemas/"

// reference serves /openapi.json: the contracts' functions, and under /v1 what
// is on sale now. It is made again when the catalogue has changed.
type reference struct {
	base      object // from the contracts; never changed
	catalogue func(context.Context) (Catalogue, error)

	mu      sync.Mutex
	version int64
	body    []byte
	etag    string
}

// newReference merges the contracts' documents, whose schemas have names of
// their own already.
func newReference(documents [][]byte, catalogue func(context.Context) (Catalogue, error), version string) (*reference, error) {
	base := object{
		"openapi":    "3.1.0",
		"info":       object{"title": "m3o", "version": cmp.Or(version, "0"), "description": "APIs that are paid by the call, and the functions of the platform around them."},
		"paths":      object{},
		"components": object{"schemas": object{}, "securitySchemes": object{}},
	}
	for i, text := range documents {
		parsed, err := parseDocument(text)
		if err != nil {
			return nil, fmt.Errorf("OpenAPI document %d: %w", i, err)
		}
		parsed.into(base, func(path string) string {
			for _, op := range parsed.operations(path) {
				if _, published := op["x-m3o-endpoint"]; published {
					return "" // the catalogue says whether it is on sale
				}
			}
			return path
		})
	}
	return &reference{base: base, catalogue: catalogue}, nil
}

// OpenAPI is the document that /openapi.json shows for a catalogue.
func OpenAPI(documents [][]byte, c Catalogue, version string) ([]byte, error) {
	h, err := newReference(documents, nil, version)
	if err != nil {
		return nil, err
	}
	body, _, err := h.rendered(c)
	return body, err
}

func (h *reference) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := h.catalogue(r.Context())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	body, etag, err := h.rendered(c)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// rendered is the document for a catalogue, from memory when it is known.
func (h *reference) rendered(c Catalogue) ([]byte, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.body != nil && h.version == c.Version {
		return h.body, h.etag, nil
	}
	doc, err := h.with(c.APIs)
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, "", fmt.Errorf("write the OpenAPI document: %w", err)
	}
	sum := sha256.Sum256(body)
	h.version, h.body, h.etag = c.Version, body, `"`+hex.EncodeToString(sum[:12])+`"`
	return h.body, h.etag, nil
}

// with is the base and the endpoints on sale. The groups of tags make reference
// pages show what is on sale first.
func (h *reference) with(apis []API) (object, error) {
	doc, err := parseDocument(must(json.Marshal(h.base)))
	if err != nil {
		return nil, fmt.Errorf("copy the OpenAPI document: %w", err)
	}
	platform, onSale := doc.tags(), []string{}
	for _, api := range apis {
		if len(api.Document) == 0 {
			continue
		}
		parsed, err := parseDocument(api.Document)
		if err != nil {
			continue // it was valid when it was published; one API must not hide the others
		}
		tag := cmp.Or(api.DisplayName, api.Name)
		parsed.prefix("v1." + api.Name)
		parsed.tag(tag)
		parsed.into(doc.root, func(path string) string { return onSaleAt(api, path) })
		onSale = append(onSale, tag)
	}
	doc.root["x-tagGroups"] = []object{{"name": "On sale", "tags": onSale}, {"name": "Platform", "tags": platform}}
	return doc.root, nil
}

// must drops the error of what has just been parsed from JSON.
func must(b []byte, _ error) []byte { return b }

// onSaleAt is where this server has the endpoint that a document describes at
// path: below /v1/{api}, or where the one is whose name ends like it. Empty: it is
// not on sale.
func onSaleAt(api API, path string) string {
	below := "/v1/" + api.Name + path
	if slices.ContainsFunc(api.Endpoints, func(e Endpoint) bool { return e.Path == below }) {
		return below
	}
	last := canonical(path[strings.LastIndexByte(path, '/')+1:])
	for _, e := range api.Endpoints {
		if canonical(e.Short()) == last {
			return e.Path
		}
	}
	return ""
}

// document is an OpenAPI document taken apart.
type document struct {
	root, paths, schemas, security object
}

func parseDocument(text []byte) (*document, error) {
	d := &document{}
	if err := json.Unmarshal(text, &d.root); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the OpenAPI document is not valid JSON")
	}
	d.paths, _ = d.root["paths"].(object)
	components, _ := d.root["components"].(object)
	d.schemas, _ = components["schemas"].(object)
	d.security, _ = components["securitySchemes"].(object)
	return d, nil
}

// operations are the operations of a path.
func (d *document) operations(path string) (list []object) {
	item, _ := d.paths[path].(object)
	for _, method := range slices.Sorted(maps.Keys(item)) {
		if op, ok := item[method].(object); ok {
			list = append(list, op)
		}
	}
	return list
}

// tags are the tags in use, sorted.
func (d *document) tags() []string {
	used := map[string]bool{}
	for path := range d.paths {
		for _, op := range d.operations(path) {
			tags, _ := op["tags"].([]any)
			for _, tag := range tags {
				used[fmt.Sprint(tag)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// tag puts all operations under one tag.
func (d *document) tag(name string) {
	for path := range d.paths {
		for _, op := range d.operations(path) {
			op["tags"] = []string{name}
		}
	}
}

// prefix renames the schemas, so that documents of strangers may use one name.
func (d *document) prefix(name string) {
	renamed := object{}
	for schema, value := range d.schemas {
		renamed[name+"."+schema] = value
	}
	d.schemas = renamed
	prefixRefs(d.paths, name)
	prefixRefs(d.schemas, name)
}

func prefixRefs(node any, name string) {
	switch n := node.(type) {
	case object:
		if ref, ok := n["$ref"].(string); ok && strings.HasPrefix(ref, schemaRef) {
			n["$ref"] = schemaRef + name + "." + strings.TrimPrefix(ref, schemaRef)
		}
		for _, child := range n {
			prefixRefs(child, name)
		}
	case []any:
		for _, child := range n {
			prefixRefs(child, name)
		}
	}
}

// into adds the document to another; at says where a path goes, empty: nowhere.
func (d *document) into(root object, at func(path string) string) {
	paths := root["paths"].(object)
	components := root["components"].(object)
	for _, path := range slices.Sorted(maps.Keys(d.paths)) {
		if to := at(path); to != "" {
			paths[to] = d.paths[path]
		}
	}
	maps.Copy(components["schemas"].(object), d.schemas)
	maps.Copy(components["securitySchemes"].(object), d.security)
}
