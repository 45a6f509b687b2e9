package model

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/hosting"
	"m3o/test/model/knobs"
	"m3o/test/model/knobs/knobsapi"
	"m3o/test/model/strict"
)

// defaults are the values of knobs when nobody has set any.
func defaults() knobsapi.Values {
	return knobsapi.Values{Limit: 7, Small: 200, Ratio: 0.5, Patience: 15 * time.Minute, Loud: true, Motto: "a`b */", Token: "none"}
}

// configs shows which value is in force, and who is told when it changes.
func (s suite) configs(t *testing.T) {
	s.check(t, "R64/DefaultsAreInForceUntilSomebodySetsAValue", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{})
		k.reads(t, defaults())
	})
	s.check(t, "R64/TheMoreSpecificHostWinsAndNamesHaveNoCase", func(t *testing.T, p *plane) {
		file := configFile(t, `
all: {LIMIT: 1, small: 1, ratio: 0.1, patience: 1s}
test: {Limit: 2, small: 2, Ratio: 0.2}
A.Test: {Limit: 3, SMALL: 3}
knobs.a.test: {limit: 4, Token: secret}
other.a.test: {limit: 5, loud: false}
`)
		want := defaults()
		want.Limit, want.Small, want.Ratio, want.Patience, want.Token = 4, 3, 0.2, time.Second, "secret"
		p.knobs(hosting.Config{}, knobs.Deps{Config: file}).reads(t, want)
	})
	s.check(t, "R65/AnInvalidValueAtStartGivesWayToTheDefault", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{Config: config.Map{"knobs.a.test.Limit": "500", "knobs.a.test.Small": "256", "knobs.a.test.Patience": "5"}})
		k.reads(t, defaults())
		for _, name := range []string{"Limit", "Small", "Patience"} {
			if !strings.Contains(k.log.String(), name) {
				t.Errorf("nobody is warned of %s: %s", name, k.log)
			}
		}
	})
	s.check(t, "R66/AnInvalidNewValueLeavesTheOldOneInForce", func(t *testing.T, p *plane) {
		source := config.Map{"knobs.a.test.Limit": "5"}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		source["knobs.a.test.Limit"], source["knobs.a.test.Small"] = "500", "-1"
		k.refresh(t, "")
		want := defaults()
		want.Limit = 5
		k.reads(t, want)
		if !strings.Contains(k.log.String(), "int [1,9]") && !strings.Contains(k.log.String(), "500") {
			t.Errorf("nobody is told: %s", k.log)
		}
	})
	s.check(t, "R67/WithoutDefaultAndValueTheServiceDoesNotStart", func(t *testing.T, _ *plane) {
		for _, source := range []config.Source{nil, config.Map{}, config.Map{"strict.test.Pace": "10"}} {
			_, err := strict.New(source)
			if err == nil || !strings.Contains(err.Error(), "strict.test.Pace") || !strings.Contains(err.Error(), "int [1,9]") {
				t.Errorf("got %v", err)
			}
		}
		if one, err := strict.New(config.Map{"strict.test.Pace": "9"}); err != nil || one.Pace() != 9 {
			t.Error(err)
		}
	})
	s.check(t, "R68/AChangeIsToldOnceAfterAllValuesAreSet", func(t *testing.T, p *plane) {
		source := config.Map{}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		source["knobs.a.test.Limit"], source["knobs.a.test.Small"], source["knobs.a.test.Ratio"] = "8", "9", "0.75"
		k.refresh(t, "")
		want := defaults()
		want.Limit, want.Small, want.Ratio, want.Told = 8, 9, 0.75, []string{"limit 8 small 9", "small 9 limit 8"}
		k.reads(t, want)
		k.refresh(t, "knobs.a.test")
		k.refresh(t, "a.test")
		k.reads(t, want)
	})
	s.check(t, "R69/AnUnchangedValueIsNotTold", func(t *testing.T, p *plane) {
		source := config.Map{}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		source["knobs.a.test.Limit"], source["knobs.a.test.Small"] = "7", "0200" // what is in force, in other words
		k.refresh(t, "")
		k.reads(t, defaults())
	})
	s.check(t, "R69/AValueThatIsNoLongerSetIsTheDefaultAgain", func(t *testing.T, p *plane) {
		source := config.Map{"knobs.a.test.Limit": "3"}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		delete(source, "knobs.a.test.Limit")
		k.refresh(t, "")
		want := defaults()
		want.Told = []string{"limit 7 small 200"}
		k.reads(t, want)
	})
	s.check(t, "R70/ASecretIsShownNowhere", func(t *testing.T, p *plane) {
		source := config.Map{"knobs.a.test.Token": "hunter"}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		source["knobs.a.test.Token"] = "HUNTER2"
		k.refresh(t, "")
		if values, err := k.client.Read(t.Context()); err != nil || values.Token != "hunter" {
			t.Errorf("%+v %v", values, err)
		}
		document := p.send(request{"GET", "https://knobs.a.test/openapi.json", "", ""})
		contains(t, document, 200, "3.1")
		for where, text := range map[string]string{"log": k.log.String(), "OpenAPI": document.Body.String(), "OpenAPI of outside": string(knobsapi.OpenAPI())} {
			if strings.Contains(strings.ToLower(text), "hunter") {
				t.Errorf("%s shows it: %s", where, text)
			}
		}
	})
	s.check(t, "R71/ASetterRefusesWhatTheRuleDoes", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{})
		if err := k.client.Turn(t.Context(), 99); err == nil {
			t.Error("99 is accepted")
		}
		k.reads(t, defaults())
		for range 2 {
			if err := k.client.Turn(t.Context(), 6); err != nil {
				t.Error(err)
			}
		}
		want := defaults()
		want.Limit, want.Told = 6, []string{"limit 6 small 200"}
		k.reads(t, want)
	})
	s.check(t, "R72/ARefreshOverwritesWhatASetterHasSet", func(t *testing.T, p *plane) {
		source := config.Map{}
		k := p.knobs(hosting.Config{Source: source}, knobs.Deps{Config: source})
		if err := k.client.Turn(t.Context(), 6); err != nil {
			t.Error(err)
		}
		k.refresh(t, "all")
		want := defaults()
		want.Told = []string{"limit 6 small 200", "limit 7 small 200"}
		k.reads(t, want)
	})
}

// hosted is a replica of knobs in an app of its own, and what its log says.
type hosted struct {
	service *knobs.Service
	client  knobsapi.Client
	app     *hosting.App
	log     *log
}

// knobs starts a replica of knobs in a process of its own, locally unless c says otherwise.
func (p *plane) knobs(c hosting.Config, d knobs.Deps) *hosted {
	p.t.Helper()
	k := &hosted{service: must(knobs.New(d))(p.t), client: knobsapi.NewClient(p.caller)}
	k.app, k.log = p.app(p.process(), c)
	if err := k.app.Start(p.t.Context(), []hosting.Service{k.service}); err != nil {
		p.t.Fatal(err)
	}
	return k
}

// app makes an app that runs on b, locally unless c says otherwise, until the check ends.
func (p *plane) app(b bus.Bus, c hosting.Config) (*hosting.App, *log) {
	lines := &log{}
	c.Bus, c.Log = b, slog.New(slog.NewJSONHandler(lines, nil))
	if c.Deployment == "" {
		c.Deployment = hosting.LOCAL
	}
	a := hosting.New(c)
	p.t.Cleanup(func() { _ = a.Stop(context.WithoutCancel(p.t.Context())) }) // a check that cares stops it itself
	return a, lines
}

func (k *hosted) refresh(t *testing.T, host string) {
	t.Helper()
	if err := k.app.Refresh(t.Context(), host); err != nil {
		t.Error(err)
	}
}

// reads checks what is in force.
func (k *hosted) reads(t *testing.T, want knobsapi.Values) {
	t.Helper()
	got, err := k.client.Read(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// configFile is the source of a config.yaml.
func configFile(t *testing.T, text string) *config.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return must(config.Load(path, nil))(t)
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var (
	_ io.Writer    = (*log)(nil)
	_ fmt.Stringer = (*log)(nil)
)

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
