package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// Fire sends a service's event to every sink and waits for all of them. It
// returns what they answered and their faults joined; no sink at all is fine.
func Fire[In, Out any](ctx context.Context, b bus.Bus, host, event string, in *In) ([]Out, error) {
	body, err := encode(in)
	if err != nil {
		return nil, fmt.Errorf("encode the event %s of %s: %w", event, host, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+":417/"+event, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("address the event %s of %s: %w", event, host, err)
	}
	r.Header.Set("Content-Type", "application/json")
	var answers []Out
	var faults []error
	for _, reply := range b.Multicast(ctx, host, event, r) {
		var out Out
		switch {
		case reply.Status >= 400:
			f := problem.Read(reply.Status, reply.Header, bytes.NewReader(reply.Body))
			faults = append(faults, fmt.Errorf("sink %s of %s.%s: %w", reply.Group, host, event, f))
		default:
			if err := json.Unmarshal(reply.Body, &out); err != nil {
				faults = append(faults, fmt.Errorf("sink %s of %s.%s: %w", reply.Group, host, event, err))
				continue
			}
			answers = append(answers, out)
		}
	}
	return answers, errors.Join(faults...)
}

// Listen makes call a sink of a service's event for a group: of one group one
// listener gets each event. What it returns stops listening.
func Listen[In, Out any](b bus.Bus, host, event, group string, call func(context.Context, *In) (Out, error)) (stop func()) {
	in, out := planOf(reflect.TypeFor[In]()), planOf(reflect.TypeFor[Out]())
	return b.Listen(host, event, group, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args In
		if _, err := in.decode(r, r.URL.Path, reflect.ValueOf(&args).Elem()); err != nil {
			problem.Write(w, r, err)
			return
		}
		answer, err := call(r.Context(), &args)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		out.write(w, reflect.ValueOf(&answer).Elem())
	}))
}

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
