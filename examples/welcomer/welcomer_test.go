package welcomer_test

import (
	"fmt"
	"log/slog"
	"testing"

	"m3o/examples/registrar/registrarapi"
	"m3o/examples/welcomer"
	"m3o/examples/welcomer/welcomerapi"
	"m3o/internal/bus"
)

// setup is a bus with replicas of the welcomer.
func setup(t *testing.T, replicas int) bus.Bus {
	t.Helper()
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	for range replicas {
		s, err := welcomer.New(welcomer.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Register(b))
	}
	return b
}

func TestAGuestIsGreeted(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	if err := registrarapi.NewMulticastTrigger(b).OnRegistered(t.Context(), "ann@example.com").Err(); err != nil {
		t.Fatal(err)
	}
	if count, latest, err := welcomerapi.NewClient(b).Guests(t.Context()); err != nil || count != 1 || latest != "Welcome, ann@example.com" {
		t.Errorf("%d guests, the latest %q, %v", count, latest, err)
	}
}

func TestReplicasShareTheGuests(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	for i := range 9 {
		if err := registrarapi.NewMulticastTrigger(b).OnRegistered(t.Context(), fmt.Sprintf("guest%d@example.com", i)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	answers, err := welcomerapi.NewMulticastClient(b).Guests(t.Context()).Wait()
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d replicas have answered, %v", len(answers), err)
	}
	all := 0
	for _, answer := range answers {
		all += answer.Count
	}
	if all != 9 {
		t.Errorf("9 guests were welcomed %d times", all)
	}
}
