package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How --services is spelt: everyService stands for all services, and without before a name takes one away.
const (
	everyService = "all"
	without      = "-"
)

// choice is the services that a process runs; nil is all of them.
type choice map[string]bool

func (c choice) runs(host string) bool { return c == nil || c[host] }

// Chosen are the services that a process runs which was asked for these, as --services takes them.
func Chosen(asked []string) ([]string, error) {
	all, err := Wirings()
	if err != nil {
		return nil, err
	}
	c, err := choose(asked, all)
	if err != nil {
		return nil, err
	}
	return c.names(all), nil
}

// choose reads names of services, with commas between or one by one, out of all that
// there are. Nothing at all means all, and so does nothing but names to be taken away.
func choose(asked []string, all []Wiring) (choice, error) {
	chosen, taken, every := choice{}, []string{}, false
	for word := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		name, away := strings.CutPrefix(word, without)
		switch {
		case word == "":
		case word == everyService:
			every = true
		case !slices.ContainsFunc(all, func(w Wiring) bool { return w.Host == name }):
			return nil, fmt.Errorf("--services: there is no service %s: choose among %s, or %s, or %s,%sNAME for all but one",
				word, strings.Join(hosts(all), ", "), everyService, everyService, without)
		case away:
			taken = append(taken, name)
		default:
			chosen[name] = true
		}
	}
	if every || len(chosen) == 0 {
		chosen = nil
	}
	return chosen.less(taken, all)
}

// less is a choice without some of its services.
func (c choice) less(taken []string, all []Wiring) (choice, error) {
	if len(taken) == 0 {
		return c, nil
	}
	left := choice{}
	for _, host := range c.names(all) {
		left[host] = true
	}
	for _, host := range taken {
		if !c.runs(host) {
			return nil, fmt.Errorf("--services takes %s away, which it does not name: write %s,%s%s for all others", host, everyService, without, host)
		}
		delete(left, host)
	}
	if len(left) == 0 {
		return nil, errors.New("--services takes away all that it names: nothing is left to run")
	}
	return left, nil
}

func hosts(all []Wiring) (names []string) {
	for _, w := range all {
		names = append(names, w.Host)
	}
	return names
}

// names are the services that a process runs.
func (c choice) names(all []Wiring) []string {
	return hosts(slices.DeleteFunc(slices.Clone(all), func(w Wiring) bool { return !c.runs(w.Host) }))
}

// audience are the groups that are to have the facts which services of this process
// state, wherever they are.
func (c choice) audience(all []Wiring) (groups []Subscription) {
	stated := map[string]bool{}
	for _, w := range all {
		for _, topic := range w.States {
			stated[topic] = stated[topic] || c.runs(w.Host)
		}
	}
	for _, w := range all {
		for _, s := range w.Consumes {
			if stated[s.Topic] {
				groups = append(groups, s)
			}
		}
	}
	return groups
}

// groups are those under which services of this process take facts.
func (c choice) groups(all []Wiring) (names []string) {
	for _, w := range all {
		for _, s := range w.Consumes {
			if c.runs(w.Host) {
				names = append(names, s.Group)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// needs are the services that those of this process call and that run elsewhere.
func (c choice) needs(all []Wiring) (names []string) {
	for _, w := range all {
		for _, called := range w.Calls {
			if c.runs(w.Host) && !c.runs(called) {
				names = append(names, called)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkAlone says why the services of a process could not do without the others, which
// the memory bus does not reach. A fact that nobody takes would be lost.
func (c choice) checkAlone(all []Wiring) error {
	for _, w := range all {
		if !c.runs(w.Host) {
			continue
		}
		for _, called := range w.Calls {
			if !c.runs(called) {
				return fmt.Errorf("--services: %s calls %s, which is not in this process: add it, or give --bus nats://… so that it is reached elsewhere", w.Host, called)
			}
		}
		for _, other := range all {
			if i := slices.IndexFunc(other.Consumes, func(s Subscription) bool { return slices.Contains(w.States, s.Topic) }); i >= 0 && !c.runs(other.Host) {
				return fmt.Errorf("--services: %s states facts on the topic %s for %s, which is not in this process: add it, or give --bus nats://… so that they reach it elsewhere", w.Host, other.Consumes[i].Topic, other.Host)
			}
		}
	}
	return nil
}

// keepsData says whether a service of this process has a place in the database.
func (c choice) keepsData(all []Wiring) bool {
	return slices.ContainsFunc(all, func(w Wiring) bool { return c.runs(w.Host) && !w.Stateless })
}

// checkSplit says what several processes need that this one was not given.
func (c choice) checkSplit(all []Wiring, config Config) error {
	if config.Secret == "" {
		return errors.New("M3O_SECRET is needed with --bus, the same in every process: gateways open with it the credentials that the catalogue has sealed; openssl rand -hex 32 prints one")
	}
	if config.DB != "" || !c.keepsData(all) {
		return nil
	}
	for _, w := range all {
		if !w.Stateless && !c.runs(w.Host) {
			return fmt.Errorf("--services leaves out %s, which keeps data like others here: several processes need one database, so give --db postgres://… to each, or run all that keep data in one process", w.Host)
		}
	}
	return nil
}
