package publicapi_test

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

func TestWhatAnAPISaysOfItsEndpointsIsInTheSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		api := pets()
		api.Pricing = map[string]publicapiapi.Amount{"create": 2}
		api.Metering = map[string]publicapiapi.Metering{"create": {By: publicapiapi.ByHeader, Maximum: 1000}, "GET /pets/{x}": {By: publicapiapi.ByBytesOut, Per: 1024, Maximum: 4096}}
		api.Timeouts = map[string]string{"create": "30s", "*": "10ms"}
		h.publish(s, api)
		create, get, list := h.endpoint(s, "pets", "Pets.Create"), h.endpoint(s, "pets", "Pets.GetPetsPetId"), h.endpoint(s, "pets", "Pets.List_pets")
		if create.Units != (publicapiapi.Units{By: publicapiapi.ByHeader, Per: 1, Maximum: 1000}) || create.Timeout != 30*time.Second {
			t.Errorf("create %+v", create)
		}
		if get.Units != (publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 1024, Maximum: 4096}) || get.Timeout != 10*time.Millisecond {
			t.Errorf("get %+v", get)
		}
		if list.Units != (publicapiapi.Units{By: publicapiapi.ByRequest, Per: 1, Maximum: 1}) || list.Checks != nil {
			t.Errorf("list %+v", list)
		}
		shown, err := s.Get(h.admin(), "pets", "")
		if err != nil || shown.Timeouts["Pets.Create"] != "30s" || shown.Metering["Pets.Create"].Maximum != 1000 {
			t.Errorf("%+v, %v", shown, err)
		}
	})
}

func TestUpdateKeepsAndClearsTerms(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		api, yes, no := pets(), true, false
		api.Metering = map[string]publicapiapi.Metering{"create": {By: publicapiapi.ByHeader, Maximum: 10}}
		api.Timeouts, api.Validate = map[string]string{"create": "30s"}, &yes
		h.publish(s, api)
		h.update(s, publicapiapi.API{Name: "pets", Icon: "🐕"})
		if e := h.endpoint(s, "pets", "Pets.Create"); e.Units.Maximum != 10 || e.Timeout != 30*time.Second || e.Checks == nil {
			t.Errorf("after an update of something else: %+v", e)
		}
		h.update(s, publicapiapi.API{Name: "pets", Metering: map[string]publicapiapi.Metering{}, Timeouts: map[string]string{}, Validate: &no})
		if e := h.endpoint(s, "pets", "Pets.Create"); e.Units.By != publicapiapi.ByRequest || e.Timeout != 10*time.Second || e.Checks != nil {
			t.Errorf("after they were cleared: %+v", e)
		}
	})
}

func TestTermsAreRefusedByField(t *testing.T) {
	s, h := quick(t)
	type meters = map[string]publicapiapi.Metering
	for field, change := range map[string]func(*publicapiapi.API){
		"api.metering.nothing":        func(a *publicapiapi.API) { a.Metering = meters{"nothing": {}} },
		"api.metering.create.by":      func(a *publicapiapi.API) { a.Metering = meters{"create": {By: "weight"}} },
		"api.metering.create.per":     func(a *publicapiapi.API) { a.Metering = meters{"create": {Per: -1}} },
		"api.metering.create.maximum": func(a *publicapiapi.API) { a.Metering = meters{"create": {By: publicapiapi.ByHeader}} },
		"api.metering.x.maximum":      func(a *publicapiapi.API) { a.Metering = meters{"x": {By: publicapiapi.ByBytesOut, Maximum: -1}} },
		"api.metering.list_pets.maximum": func(a *publicapiapi.API) {
			a.Metering = meters{"list_pets": {Maximum: 2}}
		},
		"api.metering.Pets.Create.maximum": func(a *publicapiapi.API) {
			a.Pricing = map[string]publicapiapi.Amount{"create": math.MaxInt64 / 9}
			a.Metering = meters{"create": {By: publicapiapi.ByHeader, Maximum: 10}}
		},
		"api.timeouts.nothing":     func(a *publicapiapi.API) { a.Timeouts = map[string]string{"nothing": "1s"} },
		"api.timeouts.create":      func(a *publicapiapi.API) { a.Timeouts = map[string]string{"create": "9ms"} },
		"api.timeouts.x":           func(a *publicapiapi.API) { a.Timeouts = map[string]string{"x": "10m1s"} },
		"api.timeouts.*":           func(a *publicapiapi.API) { a.Timeouts = map[string]string{"*": "soon"} },
		"api.pricing.*":            func(a *publicapiapi.API) { a.Pricing = map[string]publicapiapi.Amount{"*": -1} },
		"api.timeouts.POST /pets/": func(a *publicapiapi.API) { a.Timeouts = map[string]string{"POST /pets/": "1s"} },
	} {
		api := pets()
		change(&api)
		wantFault(t, s.Publish(h.admin(), api), fault.Invalid, field)
	}
}

func TestAnAddressThatTheGatewayWouldNotCallIsRefused(t *testing.T) {
	_, h := quick(t)
	h.refused = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	s := h.service(compiled())
	at := func(target string) publicapiapi.API {
		api := pets()
		api.Target = target
		return api
	}
	for _, target := range []string{"http://127.0.0.1:9", "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[::ffff:127.0.0.1]/", "http://127.0.0.1."} {
		wantFault(t, s.Publish(h.admin(), at(target)), fault.Invalid, "api.target")
		if t.Failed() {
			t.Fatal(target)
		}
	}
	for _, target := range []string{"https://93.184.215.14", "http://10.1.2.3", "http://localhost:9"} {
		h.publish(s, at(target))
	}
}
