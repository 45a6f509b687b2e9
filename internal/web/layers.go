package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Layer is something that is done to every request before it is routed, and to its
// answer. Wrap makes the handler that does it and calls next.
type Layer struct {
	Name string
	Wrap func(next http.Handler) http.Handler
}

// The edge's own layers, from the outermost to the innermost.
const (
	LayerObserve  = "observe"  // request id, client address, log, metrics, recovery from panics
	LayerHeaders  = "headers"  // what the house says to itself stays in the house, both ways
	LayerCORS     = "cors"     // which pages of other origins may call
	LayerBody     = "body"     // the limit of request bodies
	LayerBudget   = "budget"   // the caller's time limit (Request-Timeout)
	LayerCompress = "compress" // compression of answers
)

// Insertion puts a layer of one's own right before (outside of) or right after
// (inside of) the layer of that name: one of the edge's, or one inserted earlier.
// Those at the same place run in the order in which they are listed.
type Insertion struct {
	Layer
	Before string // or
	After  string

	// Prefix is a path such as "/sample" or "/v1/db": the layer runs only for requests
	// at it or below it, whatever their spelling and bus port. Empty: for all.
	Prefix string
}

// layers are the edge's own.
func layers(c Config) []Layer {
	return []Layer{
		{LayerObserve, newObserver(c).wrap},
		{LayerHeaders, headers(c.Proxies)},
		{LayerCORS, cors(c.Origins)},
		{LayerBody, limitBody(c.BodyLimit)},
		{LayerBudget, budget},
		{LayerCompress, newCompressor().wrap},
	}
}

// stacked puts the layers around h, the first outermost.
func stacked(all []Layer, h http.Handler) http.Handler {
	for _, layer := range slices.Backward(all) {
		h = layer.Wrap(h)
	}
	return h
}

// insert puts the insertions in their places. Its error is a sentence for whoever
// wrote them.
func insert(all []Layer, insertions []Insertion) ([]Layer, error) {
	after := make([]string, len(all)) // behind which layer each was put; empty: behind none
	for _, in := range insertions {
		if err := in.fault(all); err != nil {
			return nil, fmt.Errorf("layer %q: %w", in.Name, err)
		}
		at := in.place(all, after)
		all = slices.Insert(all, at, in.layer())
		after = slices.Insert(after, at, in.After)
	}
	return all, nil
}

// place is where an insertion goes: behind those that were put behind the same layer,
// and behind what was put behind them.
func (in *Insertion) place(all []Layer, after []string) int {
	at := slices.IndexFunc(all, func(l Layer) bool { return l.Name == in.Before+in.After })
	if in.After == "" {
		return at
	}
	group := []string{in.After}
	for at++; at < len(all) && slices.Contains(group, after[at]); at++ {
		group = append(group, all[at].Name)
	}
	return at
}

// fault is what is wrong with an insertion into all.
func (in *Insertion) fault(all []Layer) error {
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	switch anchor := in.Before + in.After; {
	case in.Name == "" || in.Wrap == nil:
		return errors.New("it needs a Name and a Wrap")
	case slices.Contains(names, in.Name):
		return errors.New("there is a layer of that name already")
	case (in.Before == "") == (in.After == ""):
		return errors.New("set one of Before and After")
	case !slices.Contains(names, anchor):
		return fmt.Errorf("there is no layer %q to stand next to: there are %s", anchor, strings.Join(names, ", "))
	case in.Prefix != "" && !strings.HasPrefix(in.Prefix, "/") || strings.Contains(in.Prefix, ":"):
		return fmt.Errorf("%q is no prefix: write a path such as /sample, without a port", in.Prefix)
	}
	return nil
}

// layer is the inserted layer, held to its prefix.
func (in *Insertion) layer() Layer {
	prefix := strings.TrimSuffix(in.Prefix, "/")
	if prefix == "" {
		return in.Layer
	}
	return Layer{in.Name, func(next http.Handler) http.Handler {
		within := in.Wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isBelow(prefix, r.URL.Path) {
				within.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}}
}

// isBelow says whether a path is at the prefix or below it. It compares as the edge
// does when it routes, so that no other spelling of a path gets around a layer.
func isBelow(prefix, path string) bool {
	host, _, rest := splitPath(path)
	rest, ok := strings.CutPrefix(canonical("/"+host+rest), canonical(prefix))
	return ok && (rest == "" || rest[0] == '/')
}
