package publicapi_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"m3o/internal/db/audit"
	"m3o/internal/fault"
	"m3o/internal/publicapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
)

func TestPublishPutsAnAPIOnSale(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		aRequest := publicapiapi.Units{By: publicapiapi.ByRequest, Per: 1, Maximum: 1}
		route, ok := h.route(s, "weather")
		want := publicapiapi.Route{Name: "weather", Target: "https://weather.example.com/api", Endpoints: []publicapiapi.EndpointRoute{
			{Name: "Weather.Forecast", Method: "POST", Pattern: "/weather/Weather/forecast-of", Path: "/weather/Weather/forecast-of", Price: 100, Units: aRequest, Timeout: 10 * time.Second,
				Schema: publicapiapi.Schema{"postcode": "string", "days": "integer", "metric": "boolean"}},
			{Name: "Weather.GetWeatherNow", Method: "GET", Pattern: "/weather/now", Path: "/weather/now", Units: aRequest, Timeout: 10 * time.Second, Schema: publicapiapi.Schema{}},
			{Name: "Weather.Now", Path: "/weather/now", Quota: 20, Units: aRequest, Timeout: 10 * time.Second,
				Schema: publicapiapi.Schema{"postcode": "string", "days": "integer"}},
			{Name: "Weather.PostWeatherPlace", Method: "POST", Pattern: "/weather/{place}", Path: "/weather/{place}", Units: aRequest, Timeout: 10 * time.Second,
				Schema: publicapiapi.Schema{"place": "string"}},
		}}
		if !ok || !same(t, route, want) {
			t.Errorf("route %+v", route)
		}
		if h.told() == 0 {
			t.Error("nobody was told")
		}
		if got := h.facts("weather"); !slices.Equal(got, []string{"APIEnable"}) {
			t.Errorf("facts %v", got)
		}
		trail, err := audit.Of(t.Context(), h.db, "weather", 10)
		if err != nil || len(trail) != 1 || trail[0].Action != "publicapi.Publish" || trail[0].Actor != "cus_admin" {
			t.Errorf("audit %+v, %v", trail, err)
		}
	})
}

func TestPublishAgainReplacesTheAPIAndKeepsItsID(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		first, err := s.Get(h.admin(), "weather", "")
		if err != nil {
			t.Fatal(err)
		}
		before, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again := weather()
		again.Pricing, again.Quotas = map[string]publicapiapi.Amount{"FORECAST": 7}, nil
		h.publish(s, again)
		second, err := s.Get(h.admin(), "", first.ID)
		if err != nil || second.ID != first.ID || second.OwnerID != "cus_admin" || len(second.Quotas) != 0 || second.Pricing["Weather.Forecast"] != 7 {
			t.Errorf("%+v, %v", second, err)
		}
		after, err := s.Snapshot(t.Context())
		if err != nil || after.Version <= before.Version || len(after.APIs) != 1 {
			t.Errorf("version %d, then %d, %v", before.Version, after.Version, err)
		}
		if got := h.facts("weather"); !slices.Equal(got, []string{"APIEnable", "APIUpdate"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestUpdateChangesOnlyWhatIsGiven(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		if err := s.Update(h.admin(), publicapiapi.API{Name: "weather", Icon: "☀️", Pricing: map[string]publicapiapi.Amount{"Now": 3}}); err != nil {
			t.Fatal(err)
		}
		api, err := s.Get(h.admin(), "weather", "")
		if err != nil || api.Icon != "☀️" || api.Category != "climate" || api.DisplayName != "Weather" || api.Target != weather().Target ||
			!same(t, api.Pricing, map[string]publicapiapi.Amount{"Weather.Now": 3}) || api.Quotas["Weather.Now"] != 20 {
			t.Errorf("%+v, %v", api, err)
		}
		if err := s.Update(h.admin(), publicapiapi.API{ID: api.ID, Pricing: map[string]publicapiapi.Amount{}}); err != nil {
			t.Fatal(err)
		}
		if api, err = s.Get(h.admin(), "weather", ""); err != nil || len(api.Pricing) != 0 || api.Icon != "☀️" {
			t.Errorf("%+v, %v", api, err)
		}
		if got := h.facts("weather"); !slices.Equal(got, []string{"APIEnable", "APIUpdate", "APIUpdate"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestUpdateRefuses(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		api, err := s.Get(h.admin(), "weather", "")
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, s.Update(h.admin(), publicapiapi.API{Icon: "x"}), fault.Invalid, "api.name")
		wantFault(t, s.Update(h.admin(), publicapiapi.API{Name: "other", Icon: "x"}), fault.NotFound, "")
		wantFault(t, s.Update(h.admin(), publicapiapi.API{Name: "renamed", ID: api.ID}), fault.Invalid, "")
		wantFault(t, s.Update(h.admin(), publicapiapi.API{Name: "weather", Target: "ftp://x"}), fault.Invalid, "api.target")
		wantFault(t, s.Update(h.customer(), publicapiapi.API{Name: "weather", Icon: "x"}), fault.Forbidden, "")
		if api, err = s.Get(h.admin(), "weather", ""); err != nil || api.Icon != "" || api.Target != weather().Target {
			t.Errorf("%+v, %v", api, err)
		}
	})
}

func TestRemoveTakesAnAPIOffSale(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		h.told()
		if err := s.Remove(h.admin(), "weather", ""); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.route(s, "weather"); ok || h.told() == 0 {
			t.Error("still on sale, or nobody was told")
		}
		_, err := s.Get(h.admin(), "weather", "")
		wantFault(t, err, fault.NotFound, "")
		wantFault(t, s.Remove(h.admin(), "weather", ""), fault.NotFound, "")
		wantFault(t, s.Update(h.admin(), publicapiapi.API{Name: "weather", Icon: "x"}), fault.NotFound, "")
		h.publish(s, weather())
		if _, ok := h.route(s, "weather"); !ok {
			t.Error("Publish does not bring it back")
		}
		if got := h.facts("weather"); !slices.Equal(got, []string{"APIEnable", "APIDisable", "APIEnable"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestOnlyAdminsChangeTheCatalogue(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		wantFault(t, s.Publish(h.customer(), weather()), fault.Forbidden, "")
		wantFault(t, s.Publish(t.Context(), weather()), fault.Unauthenticated, "")
		wantFault(t, s.Remove(h.customer(), "weather", ""), fault.Forbidden, "")
		wantFault(t, s.Remove(h.admin(), "", ""), fault.Invalid, "name")
	})
}

func TestTargetsAreForAdminsOnly(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, weather())
		got, err := s.Get(h.customer(), "weather", "")
		if err != nil || got.Target != "" || got.OpenAPIJSON == "" {
			t.Errorf("Get shows %+v, %v", got, err)
		}
		listed, err := s.List(t.Context())
		if err != nil || len(listed) != 1 || listed[0].Target != "" {
			t.Errorf("List shows %+v, %v", listed, err)
		}
		_, explored, err := s.ExploreAPI(t.Context(), "weather")
		if err != nil || explored.Target != "" {
			t.Errorf("ExploreAPI shows %+v, %v", explored, err)
		}
		if listed, err = s.List(h.admin()); err != nil || listed[0].Target != weather().Target {
			t.Errorf("an admin sees %+v, %v", listed, err)
		}
	})
}

func TestDeclarePublishesWhatIsCompiledIn(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		declared := []publicapiapi.API{publicapi.Declaration(helloworld(10))}
		if err := s.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		call, stream := h.endpoint(s, "helloworld", "Helloworld.Call"), h.endpoint(s, "helloworld", "Helloworld.Stream")
		if call.Path != "/call" || call.Price != 10 || call.Stream || !same(t, call.Schema, publicapiapi.Schema{"name": "string"}) {
			t.Errorf("call %+v", call)
		}
		if stream.Path != "/stream" || stream.Quota != 5 || !stream.Stream || stream.Timeout == 0 {
			t.Errorf("stream %+v", stream)
		}
		before, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.told()
		if err := s.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		after, err := s.Snapshot(t.Context())
		if err != nil || after.Version != before.Version || h.told() != 0 {
			t.Errorf("declaring the same again is a change: %d, %d, %v", before.Version, after.Version, err)
		}
		if err := s.Declare(t.Context(), []publicapiapi.API{publicapi.Declaration(helloworld(20))}); err != nil {
			t.Fatal(err)
		}
		if call := h.endpoint(s, "helloworld", "Helloworld.Call"); call.Price != 20 {
			t.Errorf("a new price is %d", call.Price)
		}
		if got := h.facts("helloworld"); !slices.Equal(got, []string{"APIEnable", "APIUpdate"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestDeclareLeavesWhatAnAdminHasDone(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		declared := []publicapiapi.API{publicapi.Declaration(helloworld(10))}
		if err := s.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(h.admin(), publicapiapi.API{Name: "helloworld", Pricing: map[string]publicapiapi.Amount{"Call": 99}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		if call := h.endpoint(s, "helloworld", "Helloworld.Call"); call.Price != 99 {
			t.Errorf("the admin's price has become %d", call.Price)
		}
		if err := s.Remove(h.admin(), "helloworld", ""); err != nil {
			t.Fatal(err)
		}
		if err := s.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.route(s, "helloworld"); ok {
			t.Error("what the admin has removed is back")
		}
	})
}

func TestDeclareLeavesARemovedAPIOffSale(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		if err := s.Declare(t.Context(), []publicapiapi.API{publicapi.Declaration(helloworld(10))}); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(h.admin(), "helloworld", ""); err != nil {
			t.Fatal(err)
		}
		if err := s.Declare(t.Context(), []publicapiapi.API{publicapi.Declaration(helloworld(20))}); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.route(s, "helloworld"); ok {
			t.Error("it is back with a new price")
		}
	})
}

func TestDeclareRefusesWhatCannotBeSold(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		wrong := publicapi.Declaration(helloworld(10))
		wrong.Pricing["Helloworld.Nothing"] = 1
		wantFault(t, s.Declare(t.Context(), []publicapiapi.API{wrong}), fault.Invalid, "api.pricing.Helloworld.Nothing")
	})
}

func TestAChangeByAnotherProcessIsSeenAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		other := h.service(compiled())
		h.publish(s, weather())
		if _, ok := h.route(other, "weather"); !ok {
			t.Error("the other process does not see it")
		}
		if err := s.Remove(h.admin(), "weather", ""); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.route(other, "weather"); ok {
			t.Error("the other process still sells it")
		}
	})
}

func TestAChangeThatNobodyCouldBeToldIsUnavailableAndStands(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.setDeaf(errors.New("deaf"))
		wantFault(t, s.Publish(h.admin(), weather()), fault.Unavailable, "")
		if _, ok := h.route(s, "weather"); !ok {
			t.Error("the change was undone")
		}
	})
}

// The program may have changed since an API was published: one that it cannot
// serve any more is not sold, and the rest of the catalogue is.
func TestAnAPIThatCanNoLongerBeServedIsNotSold(t *testing.T) {
	s, h := quick(t)
	h.publish(s, weather())
	if err := s.Declare(t.Context(), []publicapiapi.API{publicapi.Declaration(helloworld(10))}); err != nil {
		t.Fatal(err)
	}
	without := helloworld(10)
	without.Functions = without.Functions[:1]
	newer := h.service(map[string]*rpc.Publication{"helloworld": without})
	if _, ok := h.route(newer, "helloworld"); ok {
		t.Error("an endpoint without a function is on sale")
	}
	if _, ok := h.route(newer, "weather"); !ok {
		t.Error("the rest is not on sale")
	}
}
