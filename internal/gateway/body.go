package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
)

// tooLarge is the fault of a body over the limit.
func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "The request body is larger than %d bytes", limit).WithID("v1")
}

// limitedBody reads a body up to a limit; beyond it every read is fault.TooLarge.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	return n, err
}

// limitBody holds a request to the limit: at once when it declares its length.
func limitBody(r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &limitedBody{ReadCloser: r.Body, left: limit, limit: limit}
	}
	return nil
}

// asJSON makes query and form parameters members of the JSON body, typed by the
// endpoint's schema; what the body says wins. A body without either passes
// through unmodified.
func asJSON(r *http.Request, schema publicapiapi.Schema) error {
	if r.URL.RawQuery == "" && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The query is not well formed").WithID("v1")
	}
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return err
		}
	}
	members := map[string]json.RawMessage{}
	addValues(members, query, schema)
	if rpc.IsForm(r.Header, body) {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "The form is not well formed").WithID("v1")
		}
		addValues(members, form, schema)
	} else if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &members); err != nil {
			return fault.Wrap(fault.Invalid, err, "The body is not a JSON object").WithID("v1")
		}
	}
	merged, err := json.Marshal(members)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The parameters cannot be written as JSON").WithID("v1")
	}
	r.Body = io.NopCloser(bytes.NewReader(merged))
	r.ContentLength = int64(len(merged))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Length", strconv.Itoa(len(merged)))
	r.URL.RawQuery = ""
	return nil
}

func addValues(members map[string]json.RawMessage, values url.Values, schema publicapiapi.Schema) {
	for name, list := range values {
		members[name] = typed(list, schema[name])
	}
}

// typed is a parameter as JSON of the schema's type. Without one, or where the
// text does not fit it, it stays a string, for the endpoint to refuse.
func typed(list []string, kind string) json.RawMessage {
	if kind == "array" {
		if len(list) == 1 && strings.HasPrefix(list[0], "[") && json.Valid([]byte(list[0])) {
			return json.RawMessage(list[0])
		}
		return quote(list)
	}
	text := list[len(list)-1]
	switch kind {
	case "integer", "number", "boolean", "object":
		if json.Valid([]byte(text)) && !strings.HasPrefix(text, `"`) {
			return json.RawMessage(text)
		}
	}
	return quote(text)
}

func quote(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil { // texts and lists of texts always can be
		return json.RawMessage("null")
	}
	return text
}
