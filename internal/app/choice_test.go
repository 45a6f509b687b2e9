package app

import (
	"slices"
	"strings"
	"testing"
)

func choiceOf(t *testing.T, list string) (choice, []Wiring) {
	t.Helper()
	all, err := Wirings()
	if err != nil {
		t.Fatal(err)
	}
	c, err := choose(strings.Split(list, " "), all)
	if err != nil {
		t.Fatal(err)
	}
	return c, all
}

func TestWhatIsAskedForRuns(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"":                           everyService,
		"all":                        everyService,
		"keys all":                   everyService,
		"keys":                       "keys",
		"gateway,keys":               "keys gateway",
		"Gateway , KEYS":             "keys gateway",
		"gateway keys,":              "keys gateway",
		"keys keys,keys":             "keys",
		"emails,customers":           "emails customers",
		"keys,customers -keys,-KEYS": "customers",
		"-emails,emails,keys":        "keys",
	} {
		c, all := choiceOf(t, list)
		if want == everyService {
			want = strings.Join(hosts(all), " ")
		}
		if got := strings.Join(c.names(all), " "); got != want {
			t.Errorf("--services %q runs %s, not %s", list, got, want)
		}
	}
}

func TestWhatIsTakenAwayDoesNotRun(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"all,-gateway,-keys", "-gateway -keys", "-Keys ,ALL -GATEWAY", "all keys,-keys,-gateway"} {
		c, all := choiceOf(t, list)
		want := slices.DeleteFunc(hosts(all), func(host string) bool { return host == "gateway" || host == "keys" })
		if got := c.names(all); !slices.Equal(got, want) {
			t.Errorf("--services %q runs %v, not %v", list, got, want)
		}
	}
}

func TestAListThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	_, all := choiceOf(t, "")
	everything := strings.Join(hosts(all), ", ")
	for list, says := range map[string]string{
		"kyes":                               "no service kyes: choose among " + everything,
		"all,-kyes":                          "no service -kyes: choose among " + everything,
		"all,-":                              "no service -: ",
		"-all":                               "no service -all: ",
		"keys,-gateway":                      "write all,-gateway",
		"keys,-keys":                         "nothing is left",
		"-" + strings.Join(hosts(all), ",-"): "nothing is left",
	} {
		c, err := choose([]string{list}, all)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("--services %s: %v, %v; want an error that says %q", list, c, err, says)
		}
	}
}

func TestWhatIsNeededFromOthers(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"all":               "",
		"keys":              "customers publicapi",
		"keys,customers":    "configurator emails publicapi",
		"helloworld,events": "",
		"gateway":           "balance billing configurator customers keys publicapi usage",
	} {
		c, all := choiceOf(t, list)
		if got := strings.Join(c.needs(all), " "); got != want {
			t.Errorf("--services %s needs %q, not %q", list, got, want)
		}
	}
}

func TestFactsAreKeptForEverybodyWhoConsumesThem(t *testing.T) {
	t.Parallel()
	c, all := choiceOf(t, "usage")
	if got := c.audience(all); !slices.Contains(got, Subscription{"requests", "balance"}) || slices.ContainsFunc(got, func(s Subscription) bool { return s.Topic != "requests" }) {
		t.Errorf("the facts of usage are for %v", got)
	}
	c, all = choiceOf(t, "gateway,helloworld")
	if got := c.audience(all); len(got) != 0 {
		t.Errorf("who states no fact has it for %v", got)
	}
}

func TestAProcessCountsTheDeadLettersOfItsGroups(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{"balance,usage": "balance usage", "gateway": ""} {
		c, all := choiceOf(t, list)
		if got := strings.Join(c.groups(all), " "); got != want {
			t.Errorf("--services %s has the groups %q, not %q", list, got, want)
		}
	}
}

// A process without a database has nobody to agree with which of several runs a job.
func TestAServiceThatKeepsNothingHasNoJobForOneOfSeveral(t *testing.T) {
	t.Parallel()
	h, err := draft()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h.members {
		for _, job := range m.service.Tickers() {
			if m.Stateless && job.Replicas != "all" {
				t.Errorf("%s keeps nothing in the database and has the ticker %s for one replica", m.Host, job.Name)
			}
		}
	}
}
