package grpc

import (
	"context"
	"errors"
	"log/slog"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/shop/grpc/wire"
	"m3o/internal/shop/products/productsapi"
)

// statement is how a kind of fault is said over gRPC.
type statement struct {
	code   connect.Code
	reason string // of the google.rpc.ErrorInfo: what GraphQL has in extensions.code
}

// statements is the one table from the codes of faults. What is not in it is internal.
var statements = map[fault.Code]statement{
	fault.Invalid:         {connect.CodeInvalidArgument, "BAD_INPUT"},
	fault.Unauthenticated: {connect.CodeUnauthenticated, "UNAUTHENTICATED"},
	fault.Forbidden:       {connect.CodePermissionDenied, "FORBIDDEN"},
	fault.NotFound:        {connect.CodeNotFound, "NOT_FOUND"},
	fault.BadMethod:       {connect.CodeInvalidArgument, "BAD_INPUT"},
	fault.Expired:         {connect.CodeDeadlineExceeded, "UNAVAILABLE"},
	fault.Conflict:        {connect.CodeAlreadyExists, "CONFLICT"}, // an address or a key that has been taken,
	fault.Gone:            {connect.CodeNotFound, "NOT_FOUND"},
	fault.TooLarge:        {connect.CodeInvalidArgument, "BAD_INPUT"},
	fault.Unprocessable:   {connect.CodeInvalidArgument, "BAD_INPUT"},
	fault.Limited:         {connect.CodeResourceExhausted, "UNAVAILABLE"},
	fault.BadGateway:      {connect.CodeUnavailable, "UNAVAILABLE"},
	fault.Unavailable:     {connect.CodeUnavailable, "UNAVAILABLE"},
	fault.Timeout:         {connect.CodeDeadlineExceeded, "UNAVAILABLE"},
}

// outOfStock is a Conflict that callers tell apart: to try again helps only when there is more.
var outOfStock = statement{connect.CodeFailedPrecondition, "OUT_OF_STOCK"}

// domain is who the reasons belong to.
const domain = "shop.m3o"

// names are the arguments of the contracts that are called otherwise here.
var names = map[string]string{"update_type": "type", "user_type": "type"}

// state is an error of a service as the caller is told it.
func (d *door) state(ctx context.Context, spec connect.Spec, err error) error {
	switch {
	case errors.As(err, new(*connect.Error)):
		return err
	case !errors.As(err, new(*fault.Error)) && ctx.Err() != nil: // the caller has gone, or its time is over
		return contextError(ctx)
	}
	f := fault.From(err)
	s, known := statements[f.Code]
	if !known {
		d.log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("request", id.Request(ctx)), slog.String("procedure", spec.Procedure), slog.Any("error", err))
		return internal(ctx)
	}
	if productsapi.OutOfStock(err) {
		s = outOfStock
	}
	stated := connect.NewError(s.code, errors.New(f.Detail))
	attach(stated, &wire.ErrorInfo{Reason: s.reason, Domain: domain})
	if len(f.Fields) > 0 {
		attach(stated, badRequest(f.Fields))
	}
	if f.RetryAfter > 0 {
		attach(stated, &wire.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	return stated
}

// internal says nothing but where it is found in the log.
func internal(ctx context.Context) error {
	stated := connect.NewError(connect.CodeInternal, errors.New("internal error"))
	info := &wire.ErrorInfo{Reason: "INTERNAL", Domain: domain}
	if request := id.Request(ctx); request != "" {
		info.Metadata = map[string]string{"request_id": request}
	}
	attach(stated, info)
	return stated
}

func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the time of the call was over: it may have been executed"))
	}
	return connect.NewError(connect.CodeCanceled, errors.New("the call was given up: it may have been executed"))
}

func badRequest(fields []fault.Field) *wire.BadRequest {
	bad := &wire.BadRequest{}
	for _, f := range fields {
		name := f.Name
		if other, ok := names[name]; ok {
			name = other
		}
		bad.FieldViolations = append(bad.FieldViolations, &wire.BadRequest_FieldViolation{Field: name, Description: f.Detail})
	}
	return bad
}
