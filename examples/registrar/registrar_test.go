package registrar_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"m3o/examples/registrar"
	"m3o/examples/registrar/registrarapi"
	"m3o/internal/bus"
	"m3o/internal/fault"
)

// newService is a registrar whose log nobody reads.
func newService(t *testing.T, b bus.Bus) *registrar.Service {
	return logging(t, b, slog.DiscardHandler)
}

func logging(t *testing.T, b bus.Bus, log slog.Handler) *registrar.Service {
	t.Helper()
	s, err := registrar.New(registrar.Deps{Bus: b, Log: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const ann = "ann@example.com"

// heard counts how often a listener is told that somebody has registered.
func heard(t *testing.T, h *harness) *atomic.Int64 {
	t.Helper()
	n := &atomic.Int64{}
	t.Cleanup(registrarapi.NewHook(h.bus, "counter_1", "counter").OnRegistered(func(context.Context, string) error {
		n.Add(1)
		return nil
	}))
	return n
}

// judge listens to the next sign-up and has a say.
func judge(h *harness, allow bool, err error) {
	h.OnAllowRegistration().Expect(registrarapi.OnAllowRegistrationIn{Email: ann}).Return(registrarapi.OnAllowRegistrationOut{Allow: allow}, err)
}

// The methods of harness are generated. Those that are called like an event listen to it until it is fired once.
func TestSignUp_WithoutListenersEverybodyIsRegistered(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	h.SignUp(t.Context(), ann).Expect(registrarapi.SignUpOut{Registered: true})
}

func TestOnRegistered_TellsWhoHasRegistered(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	told := h.OnRegistered().Expect(registrarapi.OnRegisteredIn{Email: ann})
	h.SignUp(t.Context(), ann).NoError()
	told.Wait()
}

func TestOnAllowRegistration_WhomAllAllowIsRegistered(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	n := heard(t, h)
	judge(h, true, nil)
	judge(h, true, nil)
	h.SignUp(t.Context(), ann).Expect(registrarapi.SignUpOut{Registered: true})
	if n.Load() != 1 {
		t.Errorf("listeners were told %d times", n.Load())
	}
}

func TestOnAllowRegistration_OneVetoIsEnough(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	n := heard(t, h)
	judge(h, true, nil)
	judge(h, false, nil)
	h.SignUp(t.Context(), ann).Expect(registrarapi.SignUpOut{Registered: false})
	if n.Load() != 0 {
		t.Errorf("listeners were told %d times", n.Load())
	}
}

func TestOnAllowRegistration_AJudgeThatFailsLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	n := heard(t, h)
	judge(h, true, nil)
	judge(h, true, errors.New("broken"))
	h.SignUp(t.Context(), ann).ErrorCode(fault.Internal)
	if n.Load() != 0 {
		t.Errorf("listeners were told %d times", n.Load())
	}
}

func TestOnRegistered_AListenerThatFailsUndoesNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := startHarness(t, func(t *testing.T, b bus.Bus) *registrar.Service { return logging(t, b, slog.NewTextHandler(&log, nil)) })
	h.OnRegistered().Return(registrarapi.OnRegisteredOut{}, errors.New("broken"))
	h.SignUp(t.Context(), ann).Expect(registrarapi.SignUpOut{Registered: true})
	if text := log.String(); !strings.Contains(text, "could not be told") || strings.Contains(text, ann) {
		t.Errorf("the log says %q", text)
	}
}

func TestSignUp_TakesAddressesOnly(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	for _, email := range []string{"", "ann", "Ann <ann@example.com>", "ann@example.com, bob@example.com"} {
		_, err := h.SignUp(t.Context(), email).Get()
		if f := fault.From(err); f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "email" {
			t.Errorf("%q: %v", email, err)
		}
	}
}
