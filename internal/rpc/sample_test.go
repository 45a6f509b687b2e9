package rpc_test

import (
	"context"
	"net/http"
	"time"

	"m3o/internal/bus"
	"m3o/internal/money"
	"m3o/internal/rpc"
)

// This file is a contract as the generator writes it (api_gen.go), cut down to
// one function of each kind; the tests drive it over the bus.

const Host = "sample"

// Service is what a service named sample does.
type Service interface {
	// Add adds two numbers.
	Add(ctx context.Context, customerID string, x int64, tags []string) (sum money.Micros, note string, err error)
	// Put changes something.
	Put(ctx context.Context, name string, value Value, at time.Time) (err error)
	// Document answers with a document of that name.
	Document(ctx context.Context, name string) (httpResponseBody any, err error)
	// Count streams the numbers up to n.
	Count(ctx context.Context, n int, send func(CountOut) error) (err error)
}

type Value struct {
	Weight int `json:"weight"`
}

type AddIn struct {
	CustomerID string   `json:"customer_id"`
	X          int64    `json:"x"`
	Tags       []string `json:"tags"`
}

type AddOut struct {
	Sum  money.Micros `json:"sum,string"`
	Note string       `json:"note"`
}

type PutIn struct {
	Name  string    `json:"name"`
	Value Value     `json:"value"`
	At    time.Time `json:"at"`
}

type PutOut struct{}

type DocumentIn struct {
	Name string `json:"name"`
}

type DocumentOut struct {
	HTTPResponseBody any `json:"httpResponseBody" rpc:"body"` // named in JSON so that a stored answer keeps it
}

type CountIn struct {
	N int `json:"n"`
}

type CountOut struct {
	I int `json:"i"`
}

// The functions, in the order of service.yaml; unexported variables are avoided
// on purpose: a function each, so that nothing is global state.
func fnAdd() rpc.Function {
	return rpc.Function{Service: "sample", Name: "Add", Host: Host, Port: 443, Path: "/add", Method: rpc.Any, Queue: Host, Access: rpc.Customer, Timeout: 20 * time.Second}
}

func fnPut() rpc.Function {
	return rpc.Function{Service: "sample", Name: "Put", Host: Host, Port: 443, Path: "/put", Method: http.MethodPost, Queue: Host, Access: rpc.Admin, Timeout: 20 * time.Second}
}

func fnDocument() rpc.Function {
	return rpc.Function{Service: "sample", Name: "Document", Host: Host, Port: 443, Path: "/document/{name}", Method: http.MethodGet, Queue: Host, Access: rpc.Public, Timeout: 20 * time.Second}
}

func fnCount() rpc.Function {
	return rpc.Function{Service: "sample", Name: "Count", Host: Host, Port: 443, Path: "/count", Method: rpc.Any, Queue: Host, Access: rpc.Public, Stream: true, Timeout: 20 * time.Second}
}

// Functions lists the contract.
func Functions() []rpc.Function {
	return []rpc.Function{fnAdd(), fnPut(), fnDocument(), fnCount()}
}

// Routes serves the contract with s.
func Routes(s Service) []rpc.Route {
	return []rpc.Route{
		rpc.Unary(fnAdd(), func(ctx context.Context, in *AddIn) (out AddOut, err error) {
			out.Sum, out.Note, err = s.Add(ctx, in.CustomerID, in.X, in.Tags)
			return out, err
		}),
		rpc.Unary(fnPut(), func(ctx context.Context, in *PutIn) (out PutOut, err error) {
			err = s.Put(ctx, in.Name, in.Value, in.At)
			return out, err
		}),
		rpc.Unary(fnDocument(), func(ctx context.Context, in *DocumentIn) (out DocumentOut, err error) {
			out.HTTPResponseBody, err = s.Document(ctx, in.Name)
			return out, err
		}),
		rpc.Stream(fnCount(), func(ctx context.Context, in *CountIn, send func(CountOut) error) error {
			return s.Count(ctx, in.N, send)
		}),
	}
}

// Client calls the contract over a bus.
type Client struct{ caller rpc.Caller }

var _ Service = Client{}

// NewClient makes a client; it is a Service like the one in process.
func NewClient(b bus.Bus) Client { return Client{rpc.NewCaller(b)} }

func (c Client) Add(ctx context.Context, customerID string, x int64, tags []string) (sum money.Micros, note string, err error) {
	out, err := rpc.Call[AddIn, AddOut](ctx, c.caller, fnAdd(), &AddIn{CustomerID: customerID, X: x, Tags: tags})
	return out.Sum, out.Note, err
}

func (c Client) Put(ctx context.Context, name string, value Value, at time.Time) (err error) {
	_, err = rpc.Call[PutIn, PutOut](ctx, c.caller, fnPut(), &PutIn{Name: name, Value: value, At: at})
	return err
}

func (c Client) Document(ctx context.Context, name string) (httpResponseBody any, err error) {
	out, err := rpc.Call[DocumentIn, DocumentOut](ctx, c.caller, fnDocument(), &DocumentIn{Name: name})
	return out.HTTPResponseBody, err
}

func (c Client) Count(ctx context.Context, n int, send func(CountOut) error) (err error) {
	return rpc.CallStream(ctx, c.caller, fnCount(), &CountIn{N: n}, send)
}

// Unassigned is a Service that is not there: every call is fault.Unavailable.
type Unassigned struct{}

var _ Service = Unassigned{}

func (Unassigned) Add(ctx context.Context, customerID string, x int64, tags []string) (sum money.Micros, note string, err error) {
	return sum, note, rpc.NotAssigned(Host)
}

func (Unassigned) Put(ctx context.Context, name string, value Value, at time.Time) (err error) {
	return rpc.NotAssigned(Host)
}

func (Unassigned) Document(ctx context.Context, name string) (httpResponseBody any, err error) {
	return httpResponseBody, rpc.NotAssigned(Host)
}

func (Unassigned) Count(ctx context.Context, n int, send func(CountOut) error) (err error) {
	return rpc.NotAssigned(Host)
}

// MulticastTrigger fires the events of sample.
type MulticastTrigger struct{ caller rpc.Caller }

// NewMulticastTrigger makes a trigger.
func NewMulticastTrigger(b bus.Bus) MulticastTrigger { return MulticastTrigger{rpc.NewCaller(b)} }

// Hook makes sinks of the events of sample.
type Hook struct{ hook rpc.Hook }

// NewHook makes a hook for a replica.
func NewHook(b bus.Bus, replica, queue string) Hook { return Hook{rpc.NewHook(b, replica, queue)} }

type OnChangedIn struct {
	ID string `json:"id"`
}

type OnChangedOut struct {
	OK bool `json:"ok"`
}

func fnOnChanged() rpc.Function {
	return rpc.Function{Service: "sample", Name: "OnChanged", Host: Host, Port: 417, Path: "/on-changed", Method: http.MethodPost, Access: rpc.Internal, Timeout: 20 * time.Second}
}

// OnChanged tells that something has changed.
func (t MulticastTrigger) OnChanged(ctx context.Context, id string) *rpc.Answers[OnChangedOut] {
	return rpc.Multicast[OnChangedIn, OnChangedOut](ctx, t.caller, fnOnChanged(), &OnChangedIn{ID: id})
}

// OnChanged makes call a sink of OnChanged until stop is called.
func (h Hook) OnChanged(call func(ctx context.Context, id string) (ok bool, err error)) (stop func()) {
	return rpc.Listen(h.hook, fnOnChanged(), func(ctx context.Context, in *OnChangedIn) (out OnChangedOut, err error) {
		out.OK, err = call(ctx, in.ID)
		return out, err
	})
}
