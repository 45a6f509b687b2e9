package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// everyService is the name that stands for all services.
const everyService = "all"

// choice is the services that a process runs; nil is all of them.
type choice map[string]bool

func (c choice) runs(host string) bool { return c == nil || c[host] }

// choose reads names of services, with commas between or one by one, out of all that
// there are. Nothing at all means all.
func choose(asked []string, all []Wiring) (choice, error) {
	chosen := choice{}
	for name := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "":
		case name == everyService:
			return nil, nil
		case !slices.ContainsFunc(all, func(w Wiring) bool { return w.Host == name }):
			return nil, fmt.Errorf("--services: there is no service %s: choose among %s, or %s", name, strings.Join(hosts(all), ", "), everyService)
		default:
			chosen[name] = true
		}
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	return chosen, nil
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
