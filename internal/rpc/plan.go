package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

// contentType is that of what we write ourselves, as a header's value.
var contentType = []string{"application/json"}

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

// empty says that there is nothing to write or to read.
func (p *plan) empty() bool { return len(p.fields) == 0 && p.body < 0 }

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
		args, _ := bus.MatchPath(pattern, r.URL.EscapedPath())
		for name, value := range args {
			if isOpen(name, value) {
				continue // the pattern itself was called: the argument comes from elsewhere
			}
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
		if err := f.decodeMember(raw, into.Field(f.index)); err != nil {
			return err
		}
	}
	return nil
}

// decodeMember takes an argument from a JSON object. A number may be quoted, and a
// duration may be a text such as "15m" instead of nanoseconds.
func (f field) decodeMember(raw json.RawMessage, into reflect.Value) error {
	if len(raw) > 2 && raw[0] == '"' {
		if into.Type() == durationType {
			return f.decodeList([]string{string(raw[1 : len(raw)-1])}, nil, into)
		}
		if f.isInt {
			raw = raw[1 : len(raw)-1]
		}
	}
	return decodeJSON(f.name, raw, into)
}

// IsForm says whether a body is a form. curl calls every body one that is given
// with -d: what looks like a JSON object is taken for what it is.
func IsForm(header http.Header, body []byte) bool {
	written := header["Content-Type"]
	if len(written) == 0 || written[0] == contentType[0] {
		return false
	}
	kind, _, err := mime.ParseMediaType(written[0])
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
		if number, ok := strings.CutPrefix(kind.Value, "number "); ok && isInt(kind.Type) && !strings.ContainsAny(number, ".eE") {
			least, most := bounds(kind.Type)
			return fault.Wrap(fault.Invalid, err, "%s must be a whole number between %d and %d, not %s", what, least, most, number)
		}
		return fault.Wrap(fault.Invalid, err, "%s must be %s, not a JSON %s", what, jsonKind(kind.Type), kind.Value)
	}
	return fault.Wrap(fault.Invalid, err, "%s must be %s", what, jsonKind(wanted))
}

// bounds are the least and the greatest number of an integer type.
func bounds(t reflect.Type) (least int64, most uint64) {
	switch t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return 0, 1<<t.Bits() - 1
	}
	return -1 << (t.Bits() - 1), 1<<(t.Bits()-1) - 1
}

// jsonKind names a Go type as a caller who writes JSON knows it.
func jsonKind(t reflect.Type) string {
	switch t {
	case timeType:
		return "a time such as 2006-01-02T15:04:05Z"
	case durationType:
		return "a duration such as 1m30s"
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

// decodeValues takes arguments of a query, a form or a path. A name may lead into an
// argument: p.x and p[x] are member x of p, and p[] or a repeated p are elements of p.
func (p *plan) decodeValues(values url.Values, into reflect.Value) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := memberPath(name)
		f, ok := p.fields[path[0]]
		if !ok || len(values[name]) == 0 {
			continue
		}
		if err := f.decodeList(values[name], path[1:], into.Field(f.index)); err != nil {
			return err
		}
	}
	return nil
}

// decodeList takes an argument, or a member of it, from texts.
func (f field) decodeList(list, path []string, into reflect.Value) error {
	err := setMember(into, path, list)
	if err == nil {
		return nil
	}
	name := strings.Join(append([]string{f.name}, path...), ".")
	detail := "is not " + jsonKind(into.Type()) + ": " + strconv.Quote(list[0])
	return &fault.Error{Code: fault.Invalid, Detail: name + " " + detail, Fields: []fault.Field{{Name: name, Detail: detail}}, Err: err}
}

// write answers with the results: the whole body where one result is it, else
// one object; status 200 unless a result sets it.
func (p *plan) write(w http.ResponseWriter, out reflect.Value) {
	status := http.StatusOK
	if p.status >= 0 {
		if s := int(out.Field(p.status).Int()); s >= 200 && s <= 999 {
			status = s
		}
	}
	if status == http.StatusNoContent || status == http.StatusNotModified { // have no body (RFC 9110 sections 15.3.5, 15.4.5)
		w.WriteHeader(status)
		return
	}
	body := out.Addr().Interface()
	if p.body >= 0 {
		body = out.Field(p.body).Interface()
	}
	text, err := []byte("{}"), error(nil)
	if !p.empty() {
		text, err = encode(body)
	}
	if err != nil { // results that JSON cannot say are a bug of the service
		status, text = http.StatusInternalServerError, []byte(`{}`)
	}
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
