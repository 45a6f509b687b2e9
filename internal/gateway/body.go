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

// asJSON makes the parameters of the query, and the members of a form or of a
// multipart body, members of a JSON body, typed by the endpoint's schema; what the
// body says wins. A body without either passes through unmodified.
func asJSON(r *http.Request, schema publicapiapi.Schema) error {
	written := r.Header.Get("Content-Type")
	isMultipart := isKind(written, "multipart/form-data")
	if r.URL.RawQuery == "" && !isMultipart && !isKind(written, "application/x-www-form-urlencoded") {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The query is not well formed").WithID("v1")
	}
	p := parameters{schema: schema, members: map[string]any{}}
	p.addValues(query)
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if isMultipart {
		err = p.addMultipart(r.Body, written)
	} else {
		err = p.addBody(r.Body, r.Header)
	}
	if err != nil {
		return err
	}
	return p.become(r)
}

// isKind says whether a Content-Type is of that media type, whatever its parameters.
func isKind(written, kind string) bool {
	return len(written) >= len(kind) && strings.EqualFold(written[:len(kind)], kind)
}

// addBody adds the members of a form or of a JSON object.
func (p *parameters) addBody(from io.Reader, header http.Header) error {
	body, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if rpc.IsForm(header, body) {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "The form is not well formed").WithID("v1")
		}
		p.addValues(form)
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return fault.Wrap(fault.Invalid, err, "The body is not a JSON object").WithID("v1")
	}
	for name, value := range members {
		p.members[name] = value
	}
	return nil
}

// become makes the members the JSON body of a request.
func (p *parameters) become(r *http.Request) error {
	merged, err := json.Marshal(p.members)
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
