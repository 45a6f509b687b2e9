package model

import (
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/hosting"
	"m3o/test/model/knobs"
	"m3o/test/model/root"
	"m3o/test/model/thing"
	"m3o/test/model/thing/thingapi"
)

// swift is how long it may take to find out that there is nobody.
const swift = 10 * time.Millisecond

// routes shows what a host, a port, a method and a path lead to.
func (s suite) routes(t *testing.T) {
	const host = "https://thing.test"
	for _, c := range []struct {
		name        string
		method, url string
		status      int
	}{
		{"R34/PathInOtherCase", "GET", host + "/Add", 404},
		{"R34/TrailingSlash", "GET", host + "/add/", 404},
		{"R34/DoubledSlash", "GET", host + "//add", 404},
		{"R34/NoSuchPath", "GET", host + "/nope", 404},
		{"R34/Root", "GET", host, 404},
		{"R34/HostInOtherCase", "GET", "https://THING.Test/add", 200},
		{"R34/EscapedPath", "GET", host + "/%61dd", 200},
		{"R34/ThePortOfTheScheme", "GET", host + ":443/add", 200},
		{"R34/AnotherPort", "GET", host + ":444/add", 404},
		{"R34/ThePortOfAnotherScheme", "GET", "http://thing.test/add", 404},
		{"R34/NobodysHost", "GET", "https://nobody.test/add", 503},
		{"R34/AHostBelow", "GET", "https://sub.thing.test/add", 503},
		{"R35/GETOnlyByGET", "GET", host + "/only-get", 202},
		{"R35/GETOnlyByHEAD", "HEAD", host + "/only-get", 202},
		{"R35/GETOnlyByPOST", "POST", host + "/only-get", 404},
		{"R35/PUTOnlyByPUT", "PUT", host + "/only-put", 202},
		{"R35/PUTOnlyByGET", "GET", host + "/only-put", 404},
		{"R35/AFunctionByAnotherMethod", "POST", host + "/say", 404},
		{"R36/AnyByGET", "GET", host + "/page", 202},
		{"R36/AnyByDELETE", "DELETE", host + "/page", 202},
		{"R36/AnyByOPTIONS", "OPTIONS", host + "/page", 202},
		{"R36/AnyByAWordOfOnesOwn", "PURGE", host + "/page", 202},
		{"R36/AFunctionByAnyMethod", "DELETE", host + "/add?x=1", 200},
		{"R36/EveryPort", "GET", host + ":1234/port", 202},
		{"R36/EveryPortIsThatOfTheSchemeToo", "GET", host + "/port", 202},
		{"R36/ItsOwnPort", "GET", host + ":8443/other", 202},
		{"R36/ItsOwnPortOnly", "GET", host + "/other", 404},
		{"R36/AnotherHost", "GET", "https://elsewhere.test/here", 202},
		{"R36/AnotherHostOnly", "GET", host + "/here", 404},
	} {
		s.check(t, c.name, func(t *testing.T, p *plane) {
			p.thing()
			if w := p.send(request{c.method, c.url, "", ""}); w.Code != c.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
	s.check(t, "R34/TypedClientOfAHostInOtherCase", func(t *testing.T, p *plane) {
		if sum, err := p.client().ForHost("THING.Test").Add(t.Context(), 1, 2); sum != 3 || err != nil {
			t.Error(sum, err)
		}
	})
	s.check(t, "R37/TheRootOfTheWebIsAHostOfItsOwn", func(t *testing.T, p *plane) {
		if w := p.send(request{"GET", "https://root/", "", ""}); w.Code != 503 {
			t.Errorf("without the service: %d %s", w.Code, w.Body)
		}
		p.join(must(root.New())(t))
		for _, url := range []string{"https://root/", "https://root"} {
			contains(t, p.send(request{"GET", url, "", ""}), 200, "at home")
		}
	})
	s.check(t, "R38/AReplicaHasAnAddressOfItsOwn", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		for _, id := range []string{one, two, one, one} {
			client := thingapi.NewClient(p.caller).ForHost(id + ".thing.test")
			if got, err := client.Who(t.Context()); got != id || err != nil {
				t.Errorf("%s answers for %s, %v", got, id, err)
			}
			if got, err := client.WhoAll(t.Context()); got != id || err != nil {
				t.Errorf("without a queue: %s answers for %s, %v", got, id, err)
			}
			answers, err := thingapi.NewMulticastClient(p.caller).ForHost(id + ".THING.test").Who(t.Context()).Wait()
			if err != nil || len(answers) != 1 || answers[0].Replica != id {
				t.Errorf("multicast: %+v answer for %s, %v", answers, id, err)
			}
		}
		if _, err := thingapi.NewClient(p.caller).ForHost("nobody.thing.test").Who(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a replica that there is not: %v", err)
		}
	})
	s.check(t, "R38/AReplicaThatHasLeftIsUnavailable", func(t *testing.T, p *plane) {
		gone := must(thing.New())(t)
		stop := p.join(gone)
		left := p.thing().Replica().ID
		stop()
		if _, err := thingapi.NewClient(p.caller).ForHost(gone.Replica().ID + ".thing.test").Who(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		for range 10 {
			if got, err := thingapi.NewClient(p.caller).Who(t.Context()); got != left || err != nil {
				t.Errorf("%s answers, %v", got, err)
			}
		}
	})
	s.check(t, "R38/EveryReplicaAnswersAPing", func(t *testing.T, p *plane) {
		id := p.thing().Replica().ID
		for _, host := range []string{"thing.test", "all", id + ".thing.test"} {
			contains(t, p.send(request{"GET", "https://" + host + ":888/ping", "", ""}), 200, id)
		}
		contains(t, p.send(request{"GET", "https://thing.test/ping", "", ""}), 404, "thing.test")
	})
}

// documents shows that each port has an OpenAPI document of what is there.
func (s suite) documents(t *testing.T) {
	const host = "https://thing.test"
	for name, c := range map[string]struct {
		url      string
		has, not []string
	}{
		"Functions":  {host + "/openapi.json", []string{"/add", "/v/{foo}", "/only-get", "/tree/{path1}/{rest+}"}, []string{"/other"}},
		"ItsOwnPort": {host + ":8443/openapi.json", []string{"/other", "/port"}, []string{"/add", "/only-get"}},
		"EveryPort":  {host + ":1234/openapi.json", []string{"/port"}, []string{"/add", "/other"}},
	} {
		s.check(t, "Documents/EachPortHasItsOwn/"+name, func(t *testing.T, p *plane) {
			p.thing()
			w := p.send(request{"GET", c.url, "", ""})
			for _, path := range c.has {
				contains(t, w, 200, path+`"`)
			}
			for _, path := range c.not {
				if strings.Contains(w.Body.String(), path+`"`) {
					t.Errorf("%s is not at this port", path)
				}
			}
		})
	}
	s.check(t, "Documents/WhereNothingIsThereIsNone", func(t *testing.T, p *plane) {
		p.knobs(hosting.Config{}, knobs.Deps{})
		contains(t, p.send(request{"GET", "https://knobs.a.test/openapi.json", "", ""}), 200, "/turn")
		if w := p.send(request{"GET", "https://knobs.a.test:444/openapi.json", "", ""}); w.Code != 404 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}
