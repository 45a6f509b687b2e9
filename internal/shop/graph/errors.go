package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"

	qerrors "github.com/graph-gophers/graphql-go/errors"

	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/shop/products/productsapi"
)

// The codes in extensions.code. Those of a document that cannot be executed are the ones that the original gives.
const (
	codeUnauthenticated = "UNAUTHENTICATED"
	codeForbidden       = "FORBIDDEN"
	codeNotFound        = "NOT_FOUND"
	codeBadInput        = "BAD_INPUT"
	codeOutOfStock      = "OUT_OF_STOCK"
	codeConflict        = "CONFLICT"
	codeUnavailable     = "UNAVAILABLE"
	codeInternal        = "INTERNAL"
	codeParseFailed     = "GRAPHQL_PARSE_FAILED"
	codeInvalid         = "GRAPHQL_VALIDATION_FAILED"
)

// codes is the one table from the codes of faults to those of answers. What is not in it is internal.
var codes = map[fault.Code]string{
	fault.Invalid:         codeBadInput,
	fault.Unauthenticated: codeUnauthenticated,
	fault.Forbidden:       codeForbidden,
	fault.NotFound:        codeNotFound,
	fault.BadMethod:       codeBadInput,
	fault.Expired:         codeUnavailable,
	fault.Conflict:        codeConflict,
	fault.Gone:            codeNotFound,
	fault.TooLarge:        codeBadInput,
	fault.Unprocessable:   codeBadInput,
	fault.Limited:         codeUnavailable,
	fault.BadGateway:      codeUnavailable,
	fault.Unavailable:     codeUnavailable,
	fault.Timeout:         codeUnavailable,
}

// names are the arguments of the contracts that are called otherwise here.
var names = map[string]string{"limit": "first", "cursor": "after", "user_type": "type", "update_type": "type"}

// mostErrors is how many errors an answer has at most: a list may have one for each of its rows.
const mostErrors = 20

// refusal is an error of a whole request.
func refusal(code, message string) *qerrors.QueryError {
	return &qerrors.QueryError{Message: message, Extensions: map[string]any{"code": code}}
}

// present makes the errors of an execution fit to be seen: each has a code, and what is internal is logged and says no more.
func (s *Service) present(ctx context.Context, errs []*qerrors.QueryError) []*qerrors.QueryError {
	errs = errs[:min(len(errs), mostErrors)]
	for _, e := range errs {
		switch {
		case e.Extensions["code"] != nil:
		case e.ResolverError != nil:
			s.presentFault(ctx, e)
		case errors.Is(e, context.DeadlineExceeded):
			e.Message, e.Extensions = "it took too long to find out what happened", map[string]any{"code": codeUnavailable}
		case e.Rule != "": // the library has refused it before the execution
			e.Extensions = map[string]any{"code": codeOf(e)}
		default:
			s.presentInternal(ctx, e, e)
		}
	}
	return errs
}

// codeOf is the code of an error that the library has found before the execution.
func codeOf(e *qerrors.QueryError) string {
	switch {
	case errors.Is(e, qerrors.ErrSyntax):
		return codeParseFailed
	case isOfValue(e):
		return codeBadInput
	}
	return codeInvalid
}

// isOfValue says whether a value does not fit its type, by the name of the library's rule.
func isOfValue(e *qerrors.QueryError) bool {
	return e.Rule == "ValuesOfCorrectTypeRule" || isOfVariable(e)
}

// isOfVariable says whether it is that of a variable.
func isOfVariable(e *qerrors.QueryError) bool { return e.Rule == "VariablesOfCorrectType" }

// withoutSuggestions leaves out the names of the schema that the library suggests.
func withoutSuggestions(errs []*qerrors.QueryError) {
	for _, e := range errs {
		if i := strings.LastIndex(e.Message, " Did you mean "); i >= 0 {
			e.Message = e.Message[:i]
		}
	}
}

// presentFault states the fault of a resolver.
func (s *Service) presentFault(ctx context.Context, e *qerrors.QueryError) {
	f := fault.From(e.ResolverError)
	code, ok := codes[f.Code]
	if !ok {
		s.presentInternal(ctx, e, e.ResolverError)
		return
	}
	if productsapi.OutOfStock(f) {
		code = codeOutOfStock
	}
	e.Message, e.Extensions = f.Detail, map[string]any{"code": code}
	if len(f.Fields) > 0 {
		fields, texts := make([]fault.Field, len(f.Fields)), make([]string, len(f.Fields))
		for i, field := range f.Fields {
			if name, other := names[field.Name]; other {
				field.Name = name
			}
			fields[i], texts[i] = field, field.Name+": "+field.Detail
		}
		e.Message = strings.Join(texts, "; ")
		e.Extensions["field"], e.Extensions["fields"] = fields[0].Name, fields
	}
	if f.RetryAfter > 0 {
		e.Extensions["retry_after"] = math.Ceil(f.RetryAfter.Seconds())
	}
}

// presentInternal logs an error with its chain, and says only by which request it is found in the log.
func (s *Service) presentInternal(ctx context.Context, e *qerrors.QueryError, cause error) {
	requestID := id.Request(ctx)
	s.log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("request", requestID), slog.Any("path", e.Path), slog.Any("error", cause))
	e.Message, e.Extensions = "internal error", map[string]any{"code": codeInternal, "request_id": requestID}
}

// panics logs a panic in a resolver and makes an internal error of it.
type panics struct{ log *slog.Logger }

// LogPanic is called while the panic unwinds, so the stack is still that of the resolver.
func (p panics) LogPanic(ctx context.Context, reason any) {
	p.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("request", id.Request(ctx)),
		slog.String("panic", fmt.Sprint(reason)), slog.String("stack", string(debug.Stack())))
}

// MakePanicError is what the caller sees of it.
func (panics) MakePanicError(ctx context.Context, _ any) *qerrors.QueryError {
	return &qerrors.QueryError{Message: "internal error", Extensions: map[string]any{"code": codeInternal, "request_id": id.Request(ctx)}}
}
