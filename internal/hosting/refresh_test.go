package hosting_test

import (
	"context"
	"strings"
	"testing"

	"m3o/internal/config"
	"m3o/internal/hosting"
)

func TestConfigurationIsReadAnewBeforeStartup(t *testing.T) {
	t.Parallel()
	for deployment, want := range map[hosting.Deployment]int{hosting.PROD: 3, hosting.TESTING: 2} {
		var d diary
		a, log := in(deployment, config.Map{"one.Limit": "3"})
		s := &service{host: "one", diary: &d}
		limit := s.configure(config.Map{"one.Limit": "2"})
		s.start = func(context.Context) error {
			if got := limit.Get(); got != want {
				t.Errorf("%s: the limit is %d", deployment, got)
			}
			return nil
		}
		if err := a.Start(t.Context(), []hosting.Service{s}); err != nil || log.String() != "" {
			t.Fatal(err, log)
		}
		stopped(t, a)
	}
}

func TestWhatIsWrongWithTheConfigurationDoesNotKeepTheAppDown(t *testing.T) {
	t.Parallel()
	var d diary
	a, log := in(hosting.PROD, config.Map{"one.Limit": "3"})
	s := &service{host: "one", diary: &d}
	s.configure(config.Map{"one.Limit": "500"})
	s.changed = func(context.Context) error { panic("boom") }
	if err := a.Start(t.Context(), []hosting.Service{s}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"500", "panic=boom", "refresh_test.go", "OnChangedLimit of one"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log: %s", want, log)
		}
	}
	stopped(t, a)
}

func TestRefreshReachesWhomTheValuesAreFor(t *testing.T) {
	t.Parallel()
	var d diary
	source := config.Map{}
	a, _ := in(hosting.TESTING, source)
	one, two, other := &service{host: "one.shop", diary: &d}, &service{host: "two.shop", diary: &d}, &service{host: "other", diary: &d}
	limit := one.configure(nil)
	two.configure(nil)
	if err := a.Refresh(t.Context(), ""); err != nil {
		t.Errorf("before Start: %v", err)
	}
	if err := a.Start(t.Context(), []hosting.Service{one, two, other, &bare{}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ host, text, want string }{
		{"other", "1", ""}, {"One.Shop", "2", "one.shop"}, {"shop", "3", "one.shop two.shop"}, {"all", "4", "one.shop two.shop"}, {"", "5", "one.shop two.shop"}, {"", "5", ""},
		{"", "500", ""},
	} {
		d.lines = nil
		source["one.shop.Limit"], source["two.shop.Limit"] = test.text, test.text
		if err := a.Refresh(t.Context(), test.host); err != nil {
			t.Errorf("%s: %v", test.host, err)
		}
		if got := strings.ReplaceAll(strings.ReplaceAll(d.String(), "changed ", ""), ",", ""); got != test.want {
			t.Errorf("%q = %s changed %q", test.host, test.text, got)
		}
	}
	if got := limit.Get(); got != 5 {
		t.Errorf("the limit is %d", got)
	}
	stopped(t, a)
	source["one.shop.Limit"] = "9"
	if err := a.Refresh(t.Context(), ""); err != nil || limit.Get() != 5 {
		t.Errorf("after Stop: %v", err)
	}
}
