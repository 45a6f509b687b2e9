package rpc

import (
	"context"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
)

type eventKey struct{}

// Event is the durable event that the context's sink has been given; its ID is
// what the sink de-duplicates by. It is the zero Event outside a sink.
func Event(ctx context.Context) bus.Event {
	e, _ := ctx.Value(eventKey{}).(bus.Event)
	return e
}

// Sink makes a handler of a durable topic from a generated sink: it decodes the
// event, puts the envelope into the context (see Event) and acts as the service
// named group. What cannot be decoded is dead-lettered at once.
func Sink[E any, M interface {
	*E
	proto.Message
}](group string, call func(context.Context, M) error) bus.EventHandler {
	decode := protojson.UnmarshalOptions{DiscardUnknown: true}
	return func(ctx context.Context, event bus.Event) error {
		message := M(new(E))
		if err := decode.Unmarshal(event.Data, message); err != nil {
			return bus.Drop(fault.Wrap(fault.Invalid, err, "event %s of topic %s cannot be read", event.ID, event.Topic))
		}
		ctx = auth.AsService(context.WithValue(ctx, eventKey{}, event), group)
		return call(ctx, message)
	}
}
