package hosting_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/hosting"
	"m3o/internal/ticker"
)

// greeter answers its greeting under its host.
type greeter struct {
	host, greeting string
	start          func() error
}

func (g *greeter) Host() string { return g.host }

func (*greeter) Tickers() []ticker.Ticker { return nil }

func (g *greeter) OnStartup(context.Context) error {
	if g.start == nil {
		return nil
	}
	return g.start()
}

func (g *greeter) Register(b bus.Bus) (stop func()) {
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, g.greeting) }
	return b.Serve("rep_"+g.host, bus.Endpoint{Host: g.host, Port: 443, Method: bus.Any, Path: "/", Queue: g.host, Handler: http.HandlerFunc(answer)})
}

// ask is the greeting of host, or the status when there is none.
func ask(t *testing.T, b bus.Bus, host string) string {
	t.Helper()
	answer := httptest.NewRecorder()
	b.Handler(host).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/", nil))
	if answer.Code != http.StatusOK {
		return fmt.Sprint(answer.Code)
	}
	return answer.Body.String()
}

func onBus() (*hosting.App, bus.Bus) {
	log := slog.New(slog.DiscardHandler)
	b := bus.NewMemory(bus.MemoryConfig{Logger: log})
	return hosting.New(hosting.Config{Bus: b, Deployment: hosting.TESTING, Log: log}), b
}

func TestOnStartupMayCallEarlierGroupsAndNotItself(t *testing.T) {
	t.Parallel()
	a, b := onBus()
	first, second := &greeter{host: "first", greeting: "one"}, &greeter{host: "second", greeting: "two"}
	first.start = func() error {
		if got := ask(t, b, "first"); got != "503" {
			t.Errorf("first answers %s while it starts", got)
		}
		return nil
	}
	second.start = func() error {
		if got := ask(t, b, "first"); got != "one" {
			t.Errorf("first answers %s while second starts", got)
		}
		return nil
	}
	if err := a.Start(t.Context(), []hosting.Service{first}, []hosting.Service{second}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, b, "second"); got != "two" {
		t.Errorf("second answers %s", got)
	}
	stopped(t, a)
	if got := ask(t, b, "first"); got != "503" {
		t.Errorf("first answers %s after Stop", got)
	}
}

func TestTwoAppsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	one, busOne := onBus()
	two, busTwo := onBus()
	if err := one.Start(t.Context(), []hosting.Service{&greeter{host: "first", greeting: "one"}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, busTwo, "first"); got != "503" {
		t.Errorf("the other app answers %s", got)
	}
	if err := two.Start(t.Context(), []hosting.Service{&greeter{host: "first", greeting: "two"}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, busOne, "first") + ask(t, busTwo, "first"); got != "onetwo" {
		t.Errorf("they answer %s", got)
	}
	stopped(t, one)
	if got := ask(t, busTwo, "first"); got != "two" {
		t.Errorf("after the other has stopped, it answers %s", got)
	}
	stopped(t, two)
}

func TestAPlaceThatIsNotValidFailsTheStart(t *testing.T) {
	t.Parallel()
	a, b := onBus()
	if err := a.Start(t.Context(), []hosting.Service{&greeter{host: "first"}, &greeter{host: "no host"}}); err == nil {
		t.Error("no error")
	}
	if got := ask(t, b, "first"); got != "503" {
		t.Errorf("first still answers %s", got)
	}
}
