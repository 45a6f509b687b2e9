package configurator_test

import (
	"context"
	"log/slog"
	"testing"

	"m3o/internal/config"
	"m3o/internal/configurator"
	"m3o/internal/configurator/configuratorapi/configuratorapifakes"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestASourceGoesOnWithWhatItKnows(t *testing.T) {
	t.Parallel()
	fake := &configuratorapifakes.FakeService{}
	s := configurator.NewSource(fake)
	if value, ok := s.Lookup("mail-box", "Limit"); ok {
		t.Errorf("knows %q before it has asked", value)
	}
	fake.ValuesReturns(nil, fault.New(fault.Unavailable, "nobody serves configurator at the moment"))
	if err := s.Fetch(t.Context(), "mail-box"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("err = %v", err)
	}
	fake.ValuesReturns(map[string]string{"fullname": "Ada"}, nil)
	must(t, s.Fetch(t.Context(), "mail-box"))
	fake.ValuesReturns(nil, fault.New(fault.Unavailable, "nobody serves configurator at the moment"))
	if err := s.Fetch(t.Context(), "mail-box"); err == nil {
		t.Error("no error")
	}
	if value, ok := s.Lookup("Mail-Box", "FullName"); !ok || value != "Ada" {
		t.Errorf("got %q, %v", value, ok)
	}
	if value, ok := s.Lookup("notes.shop", "FullName"); ok {
		t.Errorf("knows %q of another", value)
	}
	fake.ValuesReturns(map[string]string{}, nil)
	must(t, s.Fetch(t.Context(), "mail-box"))
	if value, ok := s.Lookup("mail-box", "FullName"); ok {
		t.Errorf("still knows %q", value)
	}
}

func TestWhatIsSetIsInForceOverTheFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		source := config.Layers(config.Map{"notes.shop.Limit": "2"}, configurator.NewSource(h.direct))
		set := config.NewSet("notes.shop", source)
		limit := config.Add[int](set, config.Property{Name: "Limit", Default: "7", Rule: "int [1,9]"})
		refresh := func(want int, calls int) {
			t.Helper()
			called := 0
			callbacks := config.Callbacks{"Limit": func(context.Context) error { called++; return nil }}
			if err := set.Refresh(t.Context(), source, slog.New(slog.DiscardHandler), callbacks); err != nil || limit.Get() != want || called != calls {
				t.Errorf("the limit is %d, called %d times, %v", limit.Get(), called, err)
			}
		}
		refresh(2, 0)
		h.set(h.direct, [3]string{"shop", "limit", "3"})
		refresh(3, 1)
		h.set(h.direct, [3]string{"notes.shop", "limit", "4"})
		refresh(4, 1)
		refresh(4, 0)
		must(t, h.direct.Unset(h.admin(), "notes.shop", "Limit"))
		must(t, h.direct.Unset(h.admin(), "shop", "Limit"))
		refresh(2, 1)
	})
}
