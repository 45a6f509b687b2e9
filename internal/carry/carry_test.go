package carry_test

import (
	"context"
	"testing"

	"m3o/internal/carry"
)

type (
	name  string
	other string
)

func TestAContextCarriesOneValueOfEachType(t *testing.T) {
	t.Parallel()
	type plain struct{}
	ctx := context.WithValue(t.Context(), plain{}, "kept")
	ctx = carry.With(carry.With(ctx, name("ada")), 7)
	inner, cancel := context.WithCancel(carry.With(ctx, name("bob")))
	defer cancel()
	for _, test := range []struct {
		ctx  context.Context
		name name
	}{{ctx, "ada"}, {inner, "bob"}} {
		if n, ok := carry.From[name](test.ctx); !ok || n != test.name {
			t.Errorf("%q, %t", n, ok)
		}
		if n, ok := carry.From[int](test.ctx); !ok || n != 7 {
			t.Errorf("%d, %t", n, ok)
		}
		if o, ok := carry.From[other](test.ctx); ok {
			t.Errorf("another type of the same kind: %q", o)
		}
		if test.ctx.Value(plain{}) != "kept" {
			t.Error("a plain value is hidden")
		}
	}
}

func TestAContextThatCarriesEndsWithItsParent(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	ctx := carry.With(parent, 1)
	child, done := context.WithCancel(ctx)
	defer done()
	cancel()
	if <-child.Done(); ctx.Err() == nil {
		t.Error("the child has ended, and not what carries")
	}
}

func BenchmarkWith(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if n, ok := carry.From[name](carry.With(b.Context(), name("ada"))); !ok || n != "ada" {
			b.Fatal(n)
		}
	}
}
