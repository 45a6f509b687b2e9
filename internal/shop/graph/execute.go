package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	graphql "github.com/graph-gophers/graphql-go"
	qerrors "github.com/graph-gophers/graphql-go/errors"

	"m3o/internal/fault"
)

// request is an operation as a client sends it (GraphQL over HTTP, section 5.1; the payload of a subscribe message).
type request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// answer is what an operation comes to.
type answer struct {
	status int // of HTTP
	errors []*qerrors.QueryError
	data   json.RawMessage // nil: null
}

// refuse is the answer to a request that is not executed.
func refuse(status int, code, message string) answer {
	return answer{status: status, errors: []*qerrors.QueryError{refusal(code, message)}}
}

// code is that of the first error, "ok" when there is none.
func (a answer) code() string {
	if len(a.errors) == 0 {
		return "ok"
	}
	code, _ := a.errors[0].Extensions["code"].(string)
	return code
}

// write appends the answer as JSON: errors come first, and data is always there, as the original has it.
func (a answer) write(out *bytes.Buffer) {
	out.WriteByte('{')
	if len(a.errors) > 0 {
		out.WriteString(`"errors":`)
		out.Write(a.errorList())
		out.WriteByte(',')
	}
	out.WriteString(`"data":`)
	if a.data == nil {
		out.WriteString("null")
	}
	out.Write(a.data)
	out.WriteByte('}')
}

func (a answer) errorList() []byte {
	list, err := json.Marshal(a.errors)
	if err != nil { // an extension that JSON cannot say: the code matters more
		return []byte(`[{"message":"internal error","extensions":{"code":"` + codeInternal + `"}}]`)
	}
	return list
}

// prepare finds the operation of a request and holds it against the limits; a status of the answer means that it must not
// be executed. It fills in the variables' defaults.
func (s *Service) prepare(ctx context.Context, r *request) (*operation, answer) {
	doc, errs := s.documents.get(r)
	if errs != nil {
		if !s.Introspection() {
			withoutSuggestions(errs)
		}
		return nil, answer{status: http.StatusUnprocessableEntity, errors: s.present(ctx, errs)}
	}
	o, err := doc.operation(r.OperationName)
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, codeInvalid, fault.From(err).Detail)
	}
	r.Variables = o.with(r.Variables)
	errs = s.inputs.hold(o, r.Variables)
	if errs == nil {
		errs = s.exceeds(o, r.Variables)
	}
	if errs != nil {
		return o, answer{status: http.StatusUnprocessableEntity, errors: errs}
	}
	return o, answer{}
}

// with are the variables of a request, with the operation's defaults where it sets none.
func (o *operation) with(variables map[string]any) map[string]any {
	if len(o.defaults) == 0 {
		return variables
	}
	all := maps.Clone(o.defaults)
	maps.Copy(all, variables)
	return all
}

// exceeds says which limit an operation breaks.
func (s *Service) exceeds(o *operation, variables map[string]any) []*qerrors.QueryError {
	if o.introspects() && !s.Introspection() {
		return refused("introspection is turned off here")
	}
	shop, introspection := depth(o.fields)
	if most := s.MaxDepth(); shop > most {
		return refused("the fields are nested %d deep, and %d is the most", shop, most)
	}
	if introspection > maxIntrospection {
		return refused("the fields below introspection are nested %d deep, and %d is the most", introspection, maxIntrospection)
	}
	if cost, most := s.shape.cost(o, variables), s.MaxComplexity(); cost > most {
		return refused("the operation may cost %d, and %d is the most: a field costs 1, and what is in a list as often as it may have rows; "+
			"ask for fewer fields, or for fewer rows by first", cost, most)
	}
	return nil
}

// execute runs a query or a mutation that prepare has let pass.
func (s *Service) execute(ctx context.Context, r *request, o *operation) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, s.OperationLimit(), errLong)
	defer cancel()
	var made *graphql.Response
	if o.direct != nil {
		made = o.direct.execute(ctx, s.resolver, r.Variables)
	} else {
		made = s.schema.Exec(ctx, r.Query, r.OperationName, r.Variables)
	}
	if ctx.Err() != nil {
		return s.cut(ctx)
	}
	return s.answerOf(ctx, made)
}

// cut is the answer of an operation whose context has ended.
func (s *Service) cut(ctx context.Context) answer {
	cause := fault.Wrap(fault.Unavailable, context.Cause(ctx), "the operation was cut off")
	if errors.Is(cause, errLong) {
		cause.Detail = fmt.Sprintf("the operation took longer than %s; what it was to change may have been changed", s.OperationLimit())
	}
	return answer{status: http.StatusOK, errors: s.present(ctx, []*qerrors.QueryError{{ResolverError: cause}})}
}

// answerOf is what the library has made of an operation. What one of its rules refuses was not executed.
func (s *Service) answerOf(ctx context.Context, made *graphql.Response) answer {
	a := answer{status: http.StatusOK, errors: s.present(ctx, made.Errors), data: made.Data}
	if made.Data == nil && len(a.errors) > 0 && a.errors[0].Rule != "" {
		a.status = http.StatusUnprocessableEntity
	}
	return a
}

// errLong is why an operation is cut off that takes too long.
var errLong = errors.New("an operation takes too long")

// errSlow is why a subscription ends whose client does not take what happens.
var errSlow = errors.New("a subscription is too slow")

// subscribe runs a subscription that prepare has let pass, and hands over what it comes to until ctx ends or say returns
// false. It returns what has ended it, nil when that was the client.
func (s *Service) subscribe(ctx context.Context, r *request, say func(answer) bool) []*qerrors.QueryError {
	answers, err := s.schema.Subscribe(ctx, r.Query, r.OperationName, r.Variables)
	if err != nil {
		return s.present(ctx, []*qerrors.QueryError{{ResolverError: err}})
	}
	for made := range answers {
		if ctx.Err() != nil {
			break
		}
		a := s.answerOf(ctx, made.(*graphql.Response))
		if a.data == nil && len(a.errors) > 0 { // it has never begun, or what has happened cannot be told
			return a.errors
		}
		if !say(a) {
			return nil
		}
	}
	if errors.Is(context.Cause(ctx), errSlow) {
		return []*qerrors.QueryError{refusal(codeUnavailable, "you take what happens too slowly, and some of it is lost: subscribe again")}
	}
	return nil
}
