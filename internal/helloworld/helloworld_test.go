package helloworld_test

import (
	"context"
	"errors"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/helloworld"
	"m3o/internal/helloworld/helloworldapi"
	"m3o/internal/rpc/rpctest"
)

type nothing struct{}

func each(t *testing.T, body func(t *testing.T, s helloworldapi.Service)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[helloworldapi.Service]{Routes: helloworldapi.Routes, Client: func(b bus.Bus) helloworldapi.Service { return helloworldapi.NewClient(b) }}
	rpctest.Each(t, contract, setup, func(t *testing.T, s helloworldapi.Service, _ nothing) { body(t, s) })
}

func setup(t *testing.T) (helloworldapi.Service, nothing) {
	t.Helper()
	s, err := helloworld.New(helloworld.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s, nothing{}
}

func TestCallGreetsByName(t *testing.T) {
	each(t, func(t *testing.T, s helloworldapi.Service) {
		for name, want := range map[string]string{"John": "Hello John", "": "Hello World"} {
			if got, err := s.Call(t.Context(), name); err != nil || got != want {
				t.Errorf("Call(%q) = %q, %v; want %q", name, got, err, want)
			}
		}
	})
}

func TestStreamSendsAsManyMessagesAsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, s helloworldapi.Service) {
		for asked, want := range map[int]int{0: 1, 1: 1, 5: 5, 1000: 1000} {
			got := 0
			err := s.Stream(t.Context(), "John", asked, func(out helloworldapi.StreamOut) error {
				if out.Message != "Hello John" {
					t.Errorf("message %q", out.Message)
				}
				got++
				return nil
			})
			if err != nil || got != want {
				t.Errorf("asked for %d: %d messages, %v", asked, got, err)
			}
		}
	})
}

func TestStreamRefusesANumberOutOfBounds(t *testing.T) {
	each(t, func(t *testing.T, s helloworldapi.Service) {
		for _, asked := range []int{-1, 1001} {
			err := s.Stream(t.Context(), "John", asked, func(helloworldapi.StreamOut) error {
				t.Error("a message was sent")
				return nil
			})
			f := fault.From(err)
			if f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "messages" {
				t.Errorf("asked for %d: %v", asked, err)
			}
		}
	})
}

func TestStreamStopsWhenTheCallerGoes(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := 0
	err := s.Stream(ctx, "John", 1000, func(helloworldapi.StreamOut) error {
		if got++; got == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || got != 3 {
		t.Fatalf("%d messages, %v", got, err)
	}
}

func TestItsEndpointsAreOnSale(t *testing.T) {
	t.Parallel()
	s, err := helloworld.New(helloworld.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Published()
	if p == nil || p.Name != "helloworld" || p.Prices["Call"] != 10 || len(p.Functions) != 2 || !p.Functions[1].Stream {
		t.Fatalf("published as %+v", p)
	}
}
