package spec

import (
	"encoding/json"
	"time"
)

// Service is a service.yaml that was read. All defaults are filled in.
type Service struct {
	File      string
	General   General
	Configs   []*Entry
	Functions []*Entry
	Events    []*Entry
	Sinks     []*Entry
	Webs      []*Entry
	Tickers   []*Entry
	Metrics   []*Entry
	Publish   *Publish // nil: not in the catalogue
	Warnings  Errors   // what is allowed but probably not meant

	host place // of the host in the file, if it is one
}

// General is the section of that name.
type General struct {
	Host             string
	Description      string
	IntegrationTests bool
	OpenAPI          bool
	Wire             string // "plain" or "m3o"
}

// Publish is how the service stands in the catalogue.
type Publish struct {
	DisplayName string
	Description string
	Category    string
	Icon        string
	Prices      map[string]int64 // by function, micro-dollars a call
	Quotas      map[string]int64 // by function, free calls a month
	Examples    map[string]json.RawMessage
}

// Entry is one entry of a list. The fields that its section does not have are zero.
type Entry struct {
	Section     string
	Signature   Signature
	Description string

	Method  string        // functions, events, webs
	Path    string        // as written
	Route   Route         // resolved
	Queue   string        // functions, webs, sinks: "default" or "none"
	OpenAPI bool          // functions, webs
	Access  string        // functions, webs: "internal", "public", "customer" or "admin"
	Stream  bool          // functions
	Timeout time.Duration // functions

	Default    string // configs
	Validation string
	Callback   bool
	Secret     bool

	Event   string // sinks: the event's name at the source
	Source  string // sinks: import path of the source
	Topic   string // sinks: the durable topic, in place of Source
	ForHost string

	Interval time.Duration // tickers
	Replicas string        // tickers: "one" or "all"

	Kind    string // metrics: "counter", "gauge" or "histogram"
	Buckets []float64
	Alias   string // metrics: empty means package and name in snake case

	text   string // of the signature
	places map[string]place
	again  bool // an earlier entry has the name
	broken bool // the signature could not be read
}

// Name is the handler's name.
func (e *Entry) Name() string { return e.Signature.Name }

// Mistake makes an error at a field of the entry, for checks that need more than one file.
func (e *Entry) Mistake(file, field string, class Class, message, hint string) Error {
	at := e.place(field)
	return Error{File: file, Line: at.line, Col: at.col, Class: class, Message: message, Hint: hint}
}

// Broken says whether the signature could not be read, in what Read returned beside mistakes.
func (e *Entry) Broken() bool { return e.broken || e.text == "" }

// Line is where the entry's field is in its file, counted from 1.
func (e *Entry) Line(field string) int { return e.place(field).line }

func (e *Entry) place(field string) place {
	if at, ok := e.places[field]; ok {
		return at
	}
	return e.places[""]
}

// place is where a value is in the file; inline says that offsets within the value are columns.
type place struct {
	line, col int
	inline    bool
}

func (at place) shift(offset int) (line, col int) {
	if at.inline {
		return at.line, at.col + offset
	}
	return at.line, at.col
}

// Entries are all entries in the order of the sections.
func (s *Service) Entries() (all []*Entry) {
	for _, list := range [][]*Entry{s.Configs, s.Functions, s.Events, s.Sinks, s.Webs, s.Tickers, s.Metrics} {
		all = append(all, list...)
	}
	return all
}

func (s *Service) list(section string) *[]*Entry {
	switch section {
	case "configs":
		return &s.Configs
	case "functions":
		return &s.Functions
	case "events":
		return &s.Events
	case "sinks":
		return &s.Sinks
	case "webs":
		return &s.Webs
	case "tickers":
		return &s.Tickers
	}
	return &s.Metrics
}

// slot is where the value of a field goes; its type says what YAML is wanted.
func (g *General) slot(field string) any {
	switch field {
	case "host":
		return &g.Host
	case "description":
		return &g.Description
	case "integrationTests":
		return &g.IntegrationTests
	case "openApi":
		return &g.OpenAPI
	}
	return &g.Wire
}

func (p *Publish) slot(field string) any {
	switch field {
	case "displayName":
		return &p.DisplayName
	case "description":
		return &p.Description
	case "category":
		return &p.Category
	case "icon":
		return &p.Icon
	case "prices":
		return &p.Prices
	case "quotas":
		return &p.Quotas
	}
	return &p.Examples
}

// slots are where the values of an entry's fields go, by field.
func (e *Entry) slots() map[string]any {
	return map[string]any{
		"signature": &e.text, "description": &e.Description, "method": &e.Method, "path": &e.Path, "queue": &e.Queue,
		"openApi": &e.OpenAPI, "access": &e.Access, "stream": &e.Stream, "timeout": &e.Timeout,
		"default": &e.Default, "validation": &e.Validation, "callback": &e.Callback, "secret": &e.Secret,
		"event": &e.Event, "source": &e.Source, "topic": &e.Topic, "forHost": &e.ForHost,
		"interval": &e.Interval, "replicas": &e.Replicas, "kind": &e.Kind, "buckets": &e.Buckets, "alias": &e.Alias,
	}
}
