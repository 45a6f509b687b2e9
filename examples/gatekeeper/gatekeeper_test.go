package gatekeeper_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"m3o/examples/gatekeeper"
	"m3o/examples/gatekeeper/gatekeeperapi"
	"m3o/examples/registrar/registrarapi"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/hosting"
)

// scene is two replicas of the gatekeeper in an app whose configuration can change.
type scene struct {
	app    *hosting.App
	values config.Map
	event  registrarapi.MulticastTrigger
	log    bytes.Buffer
}

func setup(t *testing.T) *scene {
	t.Helper()
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	sc := &scene{values: config.Map{}, event: registrarapi.NewMulticastTrigger(b)}
	log := slog.New(slog.NewTextHandler(&sc.log, nil))
	sc.app = hosting.New(hosting.Config{Bus: b, Deployment: hosting.TESTING, Source: sc.values, Log: log})
	var replicas []hosting.Service
	for range 2 {
		s, err := gatekeeper.New(gatekeeper.Deps{Config: sc.values, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		replicas = append(replicas, s)
	}
	if err := sc.app.Start(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sc.app.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return sc
}

// allowed fires the event as its source does, twice so that both replicas are asked.
func (sc *scene) allowed(t *testing.T, email string) bool {
	t.Helper()
	var said []bool
	for range 2 {
		votes, err := sc.event.OnAllowRegistration(t.Context(), email).Wait()
		if err != nil || len(votes) != 1 {
			t.Fatalf("%d answers, %v: the replicas share the event", len(votes), err)
		}
		said = append(said, votes[0].Allow)
	}
	if said[0] != said[1] {
		t.Errorf("the replicas do not agree on %s", email)
	}
	return said[0]
}

func TestBannedDomainsAreTurnedAway(t *testing.T) {
	t.Parallel()
	sc := setup(t)
	for email, want := range map[string]bool{"ann@example.com": true, "ann@spam.example": false, "ann@SPAM.example": false, "ann@not-spam.example": true} {
		if got := sc.allowed(t, email); got != want {
			t.Errorf("%s: %t", email, got)
		}
	}
}

func TestWhoIsBannedChangesWhileItRuns(t *testing.T) {
	t.Parallel()
	sc := setup(t)
	sc.values["gatekeeper.BannedDomains"] = "example.com,example.org"
	if err := sc.app.Refresh(t.Context(), gatekeeperapi.Host); err != nil {
		t.Fatal(err)
	}
	if sc.allowed(t, "ann@example.org") || !sc.allowed(t, "ann@spam.example") {
		t.Error("the old list is in force")
	}
	if n := strings.Count(sc.log.String(), "other domains are banned now"); n != 2 {
		t.Errorf("of 2 replicas %d have noticed: %s", n, sc.log.String())
	}
}

func TestAListThatIsNotAllowedLeavesTheOldOneInForce(t *testing.T) {
	t.Parallel()
	sc := setup(t)
	sc.values["gatekeeper.BannedDomains"] = "Example.com; example.org"
	if err := sc.app.Refresh(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if sc.allowed(t, "ann@spam.example") || !sc.allowed(t, "ann@example.org") {
		t.Error("the old list is not in force any more")
	}
}
