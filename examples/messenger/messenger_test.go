package messenger_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"m3o/examples/messenger"
	"m3o/examples/messenger/messengerapi"
	"m3o/internal/bus"
	"m3o/internal/fault"
)

// setup is three replicas on one bus, and their ids, sorted.
func setup(t *testing.T) (b bus.Bus, replicas []string) {
	t.Helper()
	b = bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	for range 3 {
		s, err := messenger.New(messenger.Deps{Bus: b})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Register(b))
		replicas = append(replicas, s.Replica().ID)
	}
	slices.Sort(replicas)
	return b, replicas
}

func TestACallReachesOneReplicaInTurn(t *testing.T) {
	t.Parallel()
	b, replicas := setup(t)
	answered := map[string]int{}
	for range 6 {
		greeting, replica, err := messengerapi.NewClient(b).Greet(t.Context(), "Ann")
		if err != nil || greeting != "Hello Ann" {
			t.Fatalf("%q, %v", greeting, err)
		}
		answered[replica]++
	}
	for _, replica := range replicas {
		if answered[replica] != 2 {
			t.Errorf("of 6 calls, %s has answered %d", replica, answered[replica])
		}
	}
}

func TestAMulticastCallReachesAllWhereTheyShareNothing(t *testing.T) {
	t.Parallel()
	b, replicas := setup(t)
	answers, err := messengerapi.NewMulticastClient(b).RollCall(t.Context()).Wait()
	if err != nil {
		t.Fatal(err)
	}
	var present []string
	for _, answer := range answers {
		present = append(present, answer.Replica)
	}
	slices.Sort(present)
	if !slices.Equal(present, replicas) {
		t.Errorf("%v are there, and answered have %v", replicas, present)
	}
}

func TestAMulticastCallReachesOneWhereTheyShare(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	if answers, err := messengerapi.NewMulticastClient(b).Greet(t.Context(), "Ann").Wait(); err != nil || len(answers) != 1 {
		t.Errorf("%v, %v", answers, err)
	}
}

func TestAReplicaHasAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	b, replicas := setup(t)
	for _, want := range replicas {
		for range 2 {
			_, got, err := messengerapi.NewClient(b).ForHost(want+"."+messengerapi.Host).Greet(t.Context(), "Ann")
			if err != nil || got != want {
				t.Errorf("%s was called, and answered has %s, %v", want, got, err)
			}
		}
	}
	if _, _, err := messengerapi.NewClient(b).ForHost("rep_nobody."+messengerapi.Host).Greet(t.Context(), "Ann"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("somebody has answered for nobody: %v", err)
	}
}

func TestHomeShowsWhoHasAnswered(t *testing.T) {
	t.Parallel()
	b, replicas := setup(t)
	resp, err := messengerapi.NewClient(b).Home(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "<h2>")[1:] {
		for _, replica := range replicas {
			if !strings.Contains(part, fmt.Sprintf("<li>%s", replica)) {
				t.Errorf("%s is not in: %s", replica, part)
			}
		}
	}
}
