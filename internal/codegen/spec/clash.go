package spec

import (
	"fmt"
	"slices"
	"strings"
)

// Clash compares services that shall run in one program: two with one host, or two that listen at the very same place,
// are a mistake of the later one, since a request could go to either. What is reached from outside is compared as the
// edge does it, where dashes and case do not matter. Services may be what Read could read of them.
func Clash(services []*Service) (mistakes Errors) {
	hosts := map[string]*Service{}
	places := map[string][]taken{}
	for _, s := range services {
		host := strings.ToLower(s.General.Host)
		if first, ok := hosts[host]; ok && s.host.line > 0 && first.File != s.File {
			mistakes = append(mistakes, Error{File: s.File, Line: s.host.line, Col: s.host.col, Class: "E-HOST-DUP",
				Message: fmt.Sprintf("the host %s is that of %s:%d", clip(host), first.File, first.host.line), Hint: "each service of a program has a host of its own"})
			continue // what it has at the same paths follows from that
		}
		if s.host.line > 0 {
			hosts[host] = s
		}
		for _, e := range slices.Concat(s.Functions, s.Webs, s.Events) {
			if e.Route.Host == "" {
				continue // it could not be read
			}
			key := e.Route.edge()
			if m := firstClash(places[key], s, e); m != nil {
				mistakes = append(mistakes, *m)
				continue
			}
			places[key] = append(places[key], taken{e, s})
		}
	}
	return mistakes
}

// taken is an entry that listens somewhere.
type taken struct {
	by      *Entry
	service *Service
}

// firstClash is the mistake of an entry that listens where one of another service does.
func firstClash(others []taken, s *Service, e *Entry) *Error {
	for _, other := range others {
		if other.service.File == s.File {
			continue
		}
		place := fmt.Sprintf("%s:%d", other.service.File, other.by.Line("signature"))
		var text string
		switch same := e.Route.same() == other.by.Route.same(); {
		case same:
			text = fmt.Sprintf("%s listens at %s, as %s does at %s", e.Name(), e.Route, other.by.Name(), place)
		case fromOutside(e, other.by) && e.Route.collides(other.by.Route):
			text = fmt.Sprintf("%s listens at %s, and %s at %s at %s: a request from outside could be for either", e.Name(), e.Route, other.by.Name(), other.by.Route, place)
		default:
			continue
		}
		m := e.Mistake(s.File, "path", "E-ROUTE-DUP", text, "give one of them another path or host")
		return &m
	}
	return nil
}

// fromOutside says whether somebody outside may reach one of two entries.
func fromOutside(entries ...*Entry) bool {
	return slices.ContainsFunc(entries, func(e *Entry) bool { return e.Access != "" && e.Access != "internal" })
}
