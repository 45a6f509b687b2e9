package rpc

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"m3o/internal/fault"
)

// plan is what is known beforehand about an argument struct, so that a call
// spends no time on finding out.
type plan struct {
	fields map[string]field // by JSON name
	body   int              // index of the field that is the whole body; -1: none
	status int              // index of the field that is the HTTP status; -1: none
}

type field struct {
	name  string
	index int
	isInt bool // takes a number or a string
}

// planOf reads the tags of a generated struct: json names, and rpc:"body" or
// rpc:"status" on the magic arguments.
func planOf(t reflect.Type) *plan {
	p := &plan{fields: map[string]field{}, body: -1, status: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		switch f.Tag.Get("rpc") {
		case "body":
			p.body = i
			continue
		case "status":
			p.status = i
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		p.fields[name] = field{name: name, index: i, isInt: isInt(f.Type)}
	}
	return p
}

func isInt(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// decode fills the arguments from body, query and path, in this order, and
// returns the body's bytes. Unknown names are ignored, missing ones stay zero.
func (p *plan) decode(r *http.Request, pattern string, into reflect.Value) ([]byte, error) {
	body, err := drain(r)
	if err != nil {
		return nil, err
	}
	if err := p.decodeBody(r, body, into); err != nil {
		return nil, err
	}
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the query is not well formed")
		}
		if err := p.decodeValues(query, into); err != nil {
			return nil, err
		}
	}
	if strings.Contains(pattern, "{") {
		args, _ := MatchPath(pattern, r.URL.EscapedPath())
		for name, value := range args {
			if err := p.decodeValues(url.Values{name: {value}}, into); err != nil {
				return nil, err
			}
		}
	}
	return body, nil
}

func (p *plan) decodeBody(r *http.Request, body []byte, into reflect.Value) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if IsForm(r.Header, body) && p.body < 0 {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "the form is not well formed")
		}
		return p.decodeValues(form, into)
	}
	if p.body >= 0 {
		return decodeJSON("body", body, into.Field(p.body))
	}
	if json.Unmarshal(body, into.Addr().Interface()) == nil {
		return nil
	}
	into.SetZero() // member by member: numbers may be quoted, and what is wrong has a name
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return badJSON("the body", reflect.TypeFor[struct{}](), err)
	}
	for name, raw := range members {
		f, ok := p.fields[name]
		if !ok {
			continue
		}
		if f.isInt && len(raw) > 2 && raw[0] == '"' {
			raw = raw[1 : len(raw)-1]
		}
		if err := decodeJSON(name, raw, into.Field(f.index)); err != nil {
			return err
		}
	}
	return nil
}

// IsForm says whether a body is a form. curl calls every body one that is given
// with -d: what looks like a JSON object is taken for what it is.
func IsForm(header http.Header, body []byte) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded" && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
}

func decodeJSON(name string, raw []byte, into reflect.Value) error {
	if err := json.Unmarshal(raw, into.Addr().Interface()); err != nil {
		f := badJSON(name, into.Type(), err)
		f.Fields = []fault.Field{{Name: name, Detail: f.Detail}}
		return f
	}
	return nil
}

// badJSON says what is wrong with a JSON text without showing what Go says of it.
func badJSON(what string, wanted reflect.Type, err error) *fault.Error {
	var ours *fault.Error
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &ours):
		return fault.Wrap(fault.Invalid, err, "%s: %s", what, ours.Detail)
	case errors.As(err, &syntax):
		return fault.Wrap(fault.Invalid, err, "%s is not valid JSON: %s at byte %d", what, strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(fault.Invalid, err, "%s is not valid JSON: it ends too early", what)
	case errors.As(err, &kind):
		if kind.Field != "" {
			what += "." + kind.Field
		}
		return fault.Wrap(fault.Invalid, err, "%s must be %s, not a JSON %s", what, jsonKind(kind.Type), kind.Value)
	}
	return fault.Wrap(fault.Invalid, err, "%s must be %s", what, jsonKind(wanted))
}

// jsonKind names a Go type as a caller who writes JSON knows it.
func jsonKind(t reflect.Type) string {
	if t == timeType {
		return "a time such as 2006-01-02T15:04:05Z"
	}
	if isInt(t) {
		return "a whole number"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	}
	return "an object"
}

// decodeValues takes arguments of a query, a form or a path: texts for text
// arguments, else what the argument's type reads.
func (p *plan) decodeValues(values url.Values, into reflect.Value) error {
	for name, list := range values {
		f, ok := p.fields[name]
		if !ok || len(list) == 0 {
			continue
		}
		if err := decodeText(list, into.Field(f.index)); err != nil {
			detail := "is not " + jsonKind(into.Field(f.index).Type()) + ": " + strconv.Quote(list[0])
			return &fault.Error{Code: fault.Invalid, Detail: name + " " + detail, Fields: []fault.Field{{Name: name, Detail: detail}}, Err: err}
		}
	}
	return nil
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

func decodeText(list []string, into reflect.Value) error {
	text := list[0]
	switch {
	case into.Type() == durationType:
		d, err := time.ParseDuration(text)
		into.SetInt(int64(d))
		return err
	case into.Kind() == reflect.String:
		into.SetString(text)
		return nil
	case into.Kind() == reflect.Slice && into.Type().Elem().Kind() == reflect.String && !strings.HasPrefix(text, "["):
		into.Set(reflect.ValueOf(list).Convert(into.Type()))
		return nil
	}
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	return json.Unmarshal([]byte(text), into.Addr().Interface())
}

// write answers with the results: the whole body where one result is it, else
// one object; status 200 unless a result sets it.
func (p *plan) write(w http.ResponseWriter, out reflect.Value) {
	status := http.StatusOK
	if p.status >= 0 {
		if s := int(out.Field(p.status).Int()); s >= 100 && s <= 999 {
			status = s
		}
	}
	body := out.Interface()
	if p.body >= 0 {
		body = out.Field(p.body).Interface()
	}
	text, err := encode(body)
	if err != nil { // results that JSON cannot say are a bug of the service
		status, text = http.StatusInternalServerError, []byte(`{}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
