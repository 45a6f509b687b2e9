package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	qerrors "github.com/graph-gophers/graphql-go/errors"

	"m3o/internal/fault"
)

// serve answers an operation over HTTP: 200 when it was executed, whatever its resolvers say; 422 when its document or its
// variables are not valid; 4xx when the request is none.
func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	kind, a := s.operate(w, r)
	s.IncrementOperations(1, kind, a.code())
	s.write(w, a)
}

// operate runs the operation of an HTTP request. It returns its kind, for the metrics.
func (s *Service) operate(w http.ResponseWriter, r *http.Request) (kind string, a answer) {
	asked, a := decode(w, r, int64(s.BodyLimit()))
	if a.status != 0 {
		return "none", a
	}
	o, a := s.prepare(r.Context(), &asked)
	switch {
	case o == nil:
		return "none", a
	case a.status != 0:
	case o.kind == kindSubscription:
		a = refuse(http.StatusBadRequest, codeBadInput, "subscriptions run over a WebSocket here, with the subprotocol "+subprotocol)
	case r.Method != http.MethodPost && o.kind == kindMutation:
		w.Header().Set("Allow", http.MethodPost)
		a = refuse(http.StatusMethodNotAllowed, codeBadInput, "GET only takes queries: send a mutation by POST")
	default:
		a = s.operateAs(r, &asked, o)
	}
	return o.kind, a
}

// operateAs runs an operation for whoever the request's token belongs to. Whoever only wants to log in may have an old one.
func (s *Service) operateAs(r *http.Request, asked *request, o *operation) answer {
	ctx := r.Context()
	v, err := s.authenticate(ctx, credential(r.Header.Get("Authorization")))
	switch {
	case fault.Is(err, fault.Unauthenticated) && o.isOnly("login"):
		v = viewer{}
	case err != nil:
		return answer{status: http.StatusOK, errors: s.present(ctx, []*qerrors.QueryError{{ResolverError: err}})}
	}
	return s.execute(v.as(ctx), asked, o)
}

// decode reads an operation from an HTTP request. A status of the answer means that it cannot be read.
func decode(w http.ResponseWriter, r *http.Request, limit int64) (request, answer) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return decodeURL(r.URL.RawQuery)
	case http.MethodPost:
		return decodeBody(r, limit)
	}
	w.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
	return request{}, refuse(http.StatusMethodNotAllowed, codeBadInput, r.Method+" is not allowed here: use POST, or GET for queries")
}

func decodeURL(query string) (asked request, a answer) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return asked, badRequest("the query of the URL cannot be read: " + err.Error())
	}
	asked.Query, asked.OperationName = values.Get("query"), values.Get("operationName")
	if text := values.Get("variables"); text != "" {
		if err := json.Unmarshal([]byte(text), &asked.Variables); err != nil {
			return asked, badRequest("variables is no JSON object: " + explained(err))
		}
	}
	return asked, required(asked)
}

func decodeBody(r *http.Request, limit int64) (asked request, a answer) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return asked, refuse(http.StatusUnsupportedMediaType, codeBadInput, "send the operation as JSON, with Content-Type: application/json")
	}
	body, err := readBody(r, limit)
	switch {
	case fault.Is(err, fault.TooLarge):
		return asked, refuse(http.StatusRequestEntityTooLarge, codeBadInput, fault.From(err).Detail)
	case err != nil:
		return asked, badRequest("the body could not be read to its end")
	case bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")):
		return asked, badRequest("several operations in one request are not taken: send each on its own")
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return asked, badRequest("the body is no JSON object with query, variables and operationName: " + explained(err))
	}
	return asked, required(asked)
}

// readBody reads a body that has at most limit bytes; a longer one is fault.TooLarge.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(r.Body, limit+1))
	if err == nil && n > limit {
		err = tooLarge(limit)
	}
	return body.Bytes(), err
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "the request is larger than %d bytes", limit)
}

// required refuses a request without a document.
func required(asked request) (a answer) {
	if asked.Query == "" {
		a = badRequest("query is required: the text of the GraphQL document")
	}
	return a
}

func badRequest(message string) answer { return refuse(http.StatusBadRequest, codeBadInput, message) }

// explained is what is wrong with a JSON text, without the names of our types.
func explained(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("%s must not be a JSON %s", fieldOf(kind), kind.Value)
	}
	return err.Error()
}

func fieldOf(kind *json.UnmarshalTypeError) string {
	if kind.Field == "" {
		return "it"
	}
	return kind.Field
}

// write sends an answer.
func (s *Service) write(w http.ResponseWriter, a answer) {
	out := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(out)
	out.Reset()
	a.write(out)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(a.status)
	_, _ = w.Write(out.Bytes()) // the only error is a client that has gone
}
