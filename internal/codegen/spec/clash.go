package spec

import (
	"fmt"
	"slices"
)

// Clash compares services that shall run in one program: two that listen at the very
// same place are a mistake of the later one, since a request could go to either.
func Clash(services []*Service) (mistakes Errors) {
	type taken struct {
		by      *Entry
		service *Service
	}
	places := map[string]taken{}
	for _, s := range services {
		for _, e := range slices.Concat(s.Functions, s.Webs, s.Events) {
			at := e.Route.same()
			if first, ok := places[at]; ok && first.service.File != s.File {
				mistakes = append(mistakes, e.Mistake(s.File, "path", "E-ROUTE-DUP",
					fmt.Sprintf("%s listens at %s, as %s does at %s:%d", e.Name(), e.Route, first.by.Name(), first.service.File, first.by.Line("signature")), "give one of them another path or host"))
				continue
			}
			places[at] = taken{e, s}
		}
	}
	return mistakes
}
